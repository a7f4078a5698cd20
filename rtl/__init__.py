"""The core in Amaranth: one pipeline stage per file, `core.py` only connects."""
