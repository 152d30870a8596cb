"""The verbs of `edgelab`, a module for each group of them; see lab.cli."""
