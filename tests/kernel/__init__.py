"""A stock kernel to test in, on a machine that may have neither its modules nor KVM."""
