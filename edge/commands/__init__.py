"""The verbs of `edge`, a module for each; see edge.cli."""
