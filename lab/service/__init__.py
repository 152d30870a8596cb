"""ExpressRoute's rules as pure functions over tables: what an order may say, and why not.

Each table stands in one module with its source; each rule returns a `Refusal` (code, words, way out) or
None. Nothing here knows a file, a line number or a kernel. "facts" in docstrings is the project's fact
sheet `facts/expressroute.md`.
"""
