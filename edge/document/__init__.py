"""YAML files that people write: text to data whose every part knows its line and column.

kind     what a kind of file is called in messages, and how one begins
tree     YAML 1.2 text to a tree of values with places; bounds what a hostile file costs
source   a file that was read: its data, and the place of every path in it
suggest  did you mean: the known word nearest to a wrong one

The YAML reader is imported by the first file that is read.
"""
