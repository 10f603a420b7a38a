"""Keeps the prose plain: lists words that made sentences hard to read (tools/prose.toml), with the reason.

    python -m tools.prose [FILE…]

It looks at documents, docstrings, comments and texts of the code. Code spans of Markdown are left out, and so
are migrations, generated files and decisions, which don't change any more.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
RULES = ROOT / "tools" / "prose.toml"
KINDS = frozenset(
    {".md", ".py", ".ts", ".tsx", ".css", ".toml", ".yml", ".yaml", ".sh", ".sql", ".lua"}
)
LEFT_OUT = (
    "db/",
    "docs/adr/",
    "package-lock.json",
    "shared/runcast-js/client/src/generated/",
    "tests/",
    "tools/prose.toml",
)
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


@dataclass(frozen=True)
class Rule:
    """A pattern to avoid, why, and what to write instead."""

    pattern: re.Pattern[str]
    reason: str
    write: str


@dataclass(frozen=True)
class Found:
    """A match, with its line."""

    place: str
    text: str
    rule: Rule

    def __str__(self) -> str:
        return f"{self.place}: {self.text!r}: {self.rule.reason}; write {self.rule.write}"


def rules() -> list[Rule]:
    """Those of tools/prose.toml."""
    words = tomllib.loads(RULES.read_text(encoding="utf-8"))["words"]
    return [
        Rule(re.compile(each["pattern"], re.IGNORECASE), each["reason"], each["write"])
        for each in words
    ]


def look(name: str, text: str, known: Sequence[Rule]) -> Iterator[Found]:
    """What a file has of it."""
    if name.endswith(".md"):
        text = _CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), text)
    for rule in known:
        for match in rule.pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield Found(f"{name}:{line}", match[0], rule)


def files() -> list[str]:
    """The tracked files that hold prose."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    return [
        name
        for name in listed
        if Path(name).suffix in KINDS and not name.startswith(LEFT_OUT) and (ROOT / name).exists()
    ]


def main(arguments: Sequence[str]) -> int:
    known = rules()
    found = [
        each
        for name in arguments or files()
        for each in look(name, (ROOT / name).read_text(encoding="utf-8"), known)
    ]
    sys.stdout.writelines(f"{each}\n" for each in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
