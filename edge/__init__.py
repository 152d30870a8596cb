"""edge: a software-defined edge router on Linux namespaces, BIRD and a C data path."""

__version__ = "0.1.0"
