"""The documents hold together."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP = ("README.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md")
PAGES = [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(CODE.sub("", page.read_text()))
    dead = [
        target
        for target in targets
        if not target.startswith(("http://", "https://")) and not (page.parent / target).exists()
    ]
    assert dead == []


def test_decisions_are_numbered_without_holes_and_named_by_their_number() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(page.name[:4]) for page in decisions] == list(range(len(decisions)))
    assert [page.read_text()[:6] for page in decisions] == [
        f"# {page.name[:4]}" for page in decisions
    ]


PLACE = re.compile(r"`([\w./-]+\.\w+)` \(`([^`]+)`\)")


def test_where_to_change_what_names_what_is_there() -> None:
    places = PLACE.findall((ROOT / "docs" / "where.md").read_text())
    assert len(places) > 15
    wrong = [
        f"{path}: {name}"
        for path, name in places
        if not (ROOT / path).exists() or name not in (ROOT / path).read_text()
    ]
    assert wrong == []
