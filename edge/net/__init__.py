"""The kernel side: what there should be (objects), what there is, and how one becomes the other."""
