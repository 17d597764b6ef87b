"""Accuracy: areas and their intervals, from a random sample of a map that people labelled."""
