"""Each promise of docs/protocol.md names a test that exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISE = re.compile(r"^(\d+)\. \*\*.+", re.MULTILINE)
NAMED = re.compile(r"(?:(test_\w+)\.py)?::(test_\w+)|(test_\w+)\.py`")


def promises() -> list[str]:
    return [match[0] for match in PROMISE.finditer((ROOT / "docs" / "protocol.md").read_text())]


def test_the_promises_are_numbered() -> None:
    numbers = [int(promise.split(".")[0]) for promise in promises()]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("promise", promises(), ids=lambda promise: promise[:40])
def test_a_promise_names_a_test_that_exists(promise: str) -> None:
    named = list(NAMED.finditer(promise))
    assert named, "no test is named"
    file = ""
    for match in named:
        file = match[1] or match[3] or file
        [path] = (ROOT / "tests").rglob(f"{file}.py")
        assert match[2] is None or f"def {match[2]}(" in path.read_text(), match[2]
