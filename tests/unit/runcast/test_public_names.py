"""Every public name of the SDK is named by some test, so that none is documented and never tried."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import runcast

TESTS = Path(__file__).parents[2]
MODULES = ("decorators", "errors", "logging", "publisher", "reasons", "runtime", "worker")
"""Those that programs import; `events` holds shapes of data, which the catalogue's tests compare."""


def words() -> set[str]:
    """All words of all tests, but of this one."""
    return {
        word
        for path in TESTS.rglob("*.py")
        if path != Path(__file__)
        for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))
    }


def public(module: str) -> list[str]:
    """The names that a module defines."""
    names = vars(importlib.import_module(f"runcast.{module}")).items()
    return [
        name
        for name, value in names
        if not name.startswith("_") and getattr(value, "__module__", "") == f"runcast.{module}"
    ]


@pytest.mark.parametrize("module", MODULES)
def test_each_public_name_is_named_by_a_test(module: str) -> None:
    assert set(public(module)) - words() == set()


def test_each_name_of_the_package_is_named_by_a_test() -> None:
    assert set(runcast.__all__) - words() == set()
