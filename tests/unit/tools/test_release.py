"""One version everywhere, and a changelog that a release can be cut from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tools import release


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the files that a release changes."""
    names = ["pyproject.toml", "CHANGELOG.md", "package-lock.json"]
    for name in [*names, *(f"{package}/package.json" for package in release.PACKAGES)]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(release.ROOT / name, tmp_path / name)
    return tmp_path


def test_everything_says_the_same_version() -> None:
    assert {what for _, what in release.repeated()} == {release.current()}
    assert release.UNRELEASED in (release.ROOT / "CHANGELOG.md").read_text()


def test_a_release_sets_the_version_everywhere_and_dates_the_changelog(tree: Path) -> None:
    said = release.notes("Unreleased", tree)
    assert release.wrong("7.8.9", tree) != []
    release.prepare("7.8.9", tree)
    assert release.wrong("7.8.9", tree) == []
    assert release.notes("7.8.9", tree) == said
    assert release.notes("Unreleased", tree) == "Nothing yet.\n"
    with pytest.raises(LookupError, match=r"no section about 9\.9\.9"):
        release.notes("9.9.9", tree)


def test_a_release_changes_nothing_else(tree: Path) -> None:
    before = {p: p.read_text() for p in tree.rglob("*") if p.is_file()}
    version = release.current(tree)
    release.prepare("7.8.9", tree)
    for path, text in before.items():
        if path.name != "CHANGELOG.md":
            assert path.read_text().replace("7.8.9", version) == text, path
