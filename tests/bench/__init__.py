"""Benchmarks: ours against what people use instead, in one run. `make bench` or `python -m tests.bench`."""
