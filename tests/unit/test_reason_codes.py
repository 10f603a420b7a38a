"""`docs/reason-codes.md` and the code say the same."""

import re
from pathlib import Path

from runcast.reasons import Reason
from runcast.runtime import LAYERS, OPERATIONS

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(\w+)` \| (\w+), (.+?) \|", re.MULTILINE)
USED = re.compile(r"\bReason\.([A-Z_]+)")
SOURCES = [
    *(ROOT / "services").rglob("*.py"),
    *(ROOT / "shared").rglob("*.py"),
    ROOT / "examples/worker.py",
]


def rows() -> list[tuple[str, str, str]]:
    return ROW.findall((ROOT / "docs" / "reason-codes.md").read_text())


def test_every_code_is_documented_once() -> None:
    documented = [code for code, _, _ in rows()]
    assert sorted(documented) == sorted(Reason)


def test_layers_and_operations_are_those_that_there_are() -> None:
    for code, layer, operations in rows():
        assert layer in LAYERS, code
        assert set(re.findall(r"`(\w+)`", operations)) <= OPERATIONS, code


def test_every_code_is_used() -> None:
    used = {name for source in SOURCES for name in USED.findall(source.read_text())}
    assert used == {reason.name for reason in Reason}
