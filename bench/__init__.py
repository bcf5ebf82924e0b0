"""Benchmarks: every number is measured on the spot, and printed beside its target (`python -m bench`)."""
