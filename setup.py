"""Builds the C extension; everything else about the package stands in pyproject.toml."""

from setuptools import setup

setup(cffi_modules=["edge/fastpath/build_native.py:builder"])
