"""Benchmarks: ratios against a peer or the limit of reading, measured in one run."""
