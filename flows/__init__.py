"""Flows and their command lines: they compose tasks."""

from flows.logs import tell_expected_failures_in_one_line

tell_expected_failures_in_one_line()
