"""Each promise of docs/protocol.md, row of docs/faults.md, and sentence of SECURITY.md about what an
attacker can reach, names a test that exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISE = re.compile(r"^(\d+)\. \*\*.+", re.MULTILINE)
NAMED = re.compile(r"(?:(test_\w+)\.py)?::(test_\w+)|(test_\w+)\.py`")
SENTENCE = re.compile(r"(?<=[.:])\s+(?=[A-Z`*])")


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


def sentences() -> list[str]:
    """What SECURITY.md says of attackers and tokens, without marks of emphasis and names of tests."""
    text = (ROOT / "SECURITY.md").read_text()
    first, last = "## What an attacker can reach", "## What Runcast doesn't do"
    found: list[str] = []
    for part in re.split(r"\n\s*\n|\n- ", text[text.index(first) : text.index(last)]):
        plain = re.sub(r"\s*\[[^\]]*\](?!\()", "", " ".join(part.split())).replace("**", "")
        if not plain.startswith("## "):
            found += [one.lstrip("*") for one in SENTENCE.split(plain) if one.strip()]
    return found


def attacks() -> dict[str, str]:
    """The rows of docs/security-tests.md: the tests by the beginning of their sentence."""
    text = (ROOT / "docs" / "security-tests.md").read_text()
    return dict(re.findall(r"^\| (.+?) … \| (.+) \|$", text, re.MULTILINE))


def test_each_sentence_of_the_security_page_has_its_attack_and_no_other_is_named() -> None:
    begun = {one: [each for each in attacks() if one.startswith(each)] for one in sentences()}
    assert [one for one, begins in begun.items() if len(begins) != 1] == []
    assert set(attacks()) == {begin for begins in begun.values() for begin in begins}


def is_promise(tests: str) -> bool:
    return not tests.startswith(("advice", "a heading", "a limit"))


def attacked() -> list[str]:
    return [f"{begin} | {tests}" for begin, tests in attacks().items() if is_promise(tests)]


@pytest.mark.parametrize(
    "promise", [*promises(), *rows(), *attacked()], ids=lambda promise: promise[:40]
)
def test_a_promise_names_a_test_that_exists(promise: str) -> None:
    named = list(NAMED.finditer(promise))
    assert named, "no test is named"
    file = ""
    for match in named:
        file = match[1] or match[3] or file
        found = [path.read_text() for path in (ROOT / "tests").rglob(f"{file}.py")]
        assert found, f"there is no {file}.py"
        assert match[2] is None or any(f"def {match[2]}(" in text for text in found), match[2]
