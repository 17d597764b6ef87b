"""The examples in docstrings are true, and stand where a reader needs one."""

import doctest
import importlib
import pkgutil

import pytest

import landcover

MODULES = sorted(module.name for module in pkgutil.walk_packages(landcover.__path__, "landcover."))

EXPLAINED = {
    "landcover.grid",
    "landcover.listing",
    "landcover.period",
    "landcover.windows",
    "landcover.maps.pieces",
    "landcover.maps.sieve",
    "landcover.model.bins",
    "landcover.model.folds",
}


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0
    assert found.attempted > 0 or name not in EXPLAINED


def test_the_modules_that_need_an_example_are_there() -> None:
    assert set(MODULES) >= EXPLAINED
