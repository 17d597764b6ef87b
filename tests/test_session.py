"""What the session itself promises to the tests."""

import os

import pytest


@pytest.mark.xdist_group("together")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="there is one process only")
def test_groups_of_tests_are_seen_by_the_scheduler(request: pytest.FixtureRequest) -> None:
    """A version of pytest that hides them from pytest-xdist would set dear fixtures up again."""
    if request.config.getoption("loadgroup", default=False):
        assert request.node.nodeid.endswith("@together")
