"""Builds the C extensions; everything else about the package stands in pyproject.toml."""

from setuptools import setup

EXTENSIONS = ("native", "classify", "pcap", "impair", "ring", "streams")

setup(cffi_modules=[f"edge/fastpath/build.py:{name}" for name in EXTENSIONS])
