"""Each promise of docs/protocol.md, and each row of docs/faults.md, names a test that exists."""

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


def rows() -> list[str]:
    """The rows of docs/faults.md, without their heads."""
    lines = (ROOT / "docs" / "faults.md").read_text().splitlines()
    return [
        line for line in lines if line.startswith("|") and not re.match(r"\|(---| what \|)", line)
    ]


@pytest.mark.parametrize("promise", [*promises(), *rows()], ids=lambda promise: promise[:40])
def test_a_promise_names_a_test_that_exists(promise: str) -> None:
    named = list(NAMED.finditer(promise))
    assert named, "no test is named"
    file = ""
    for match in named:
        file = match[1] or match[3] or file
        found = [path.read_text() for path in (ROOT / "tests").rglob(f"{file}.py")]
        assert found, f"there is no {file}.py"
        assert match[2] is None or any(f"def {match[2]}(" in text for text in found), match[2]
