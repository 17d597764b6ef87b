"""Flows and their command lines: they compose tasks."""
