"""The version and the changelog.

    python -m tools.release prepare 0.2.0   set the version everywhere, date the changelog's section
    python -m tools.release check 0.2.0     fail unless everything says 0.2.0
    python -m tools.release notes 0.2.0     print the changelog's section

`pyproject.toml` has the version; JavaScript packages and the lock file repeat it because npm wants it there,
and `prepare` writes them. A test compares them.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGES = (".", "shared/runcast-js/client", "shared/runcast-js/react", "services/console")
OURS = frozenset({"@runcast/client", "@runcast/react", "@runcast/console"})
UNRELEASED = "## Unreleased"
_VERSION = re.compile(r'^version = "([^"]+)"$', re.MULTILINE)


def current(root: Path = ROOT) -> str:
    """The version in `pyproject.toml`."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def repeated(root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """Where else the version stands, and what it is there."""
    for package in PACKAGES:
        content = json.loads((root / package / "package.json").read_text())
        yield from _versions(f"{package}/package.json", content)
    locked = json.loads((root / "package-lock.json").read_text())["packages"]
    for package in PACKAGES:
        yield from _versions(f"package-lock.json: {package}", locked[package.strip(".")])


def notes(version: str, root: Path = ROOT) -> str:
    """The changelog's section about a version. Raises `LookupError` where there is none."""
    text = (root / "CHANGELOG.md").read_text()
    found = re.search(
        rf"^## {re.escape(version)}\b[^\n]*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL
    )
    if found is None:
        raise LookupError(f"CHANGELOG.md has no section about {version}")
    return found[1].strip() + "\n"


def prepare(version: str, root: Path = ROOT) -> None:
    """Sets the version everywhere, and turns "Unreleased" into its section with today's date."""
    pyproject = root / "pyproject.toml"
    pyproject.write_text(_VERSION.sub(f'version = "{version}"', pyproject.read_text(), count=1))
    for package in PACKAGES:
        path = root / package / "package.json"
        path.write_text(_set(path.read_text(), version))
    lock = root / "package-lock.json"
    content = json.loads(lock.read_text())
    content["version"] = version
    for package in PACKAGES:
        locked = content["packages"][package.strip(".")]
        locked["version"] = version
        _set_ours(locked.get("dependencies", {}), version)
    lock.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    changelog = root / "CHANGELOG.md"
    heading = f"{UNRELEASED}\n\nNothing yet.\n\n## {version} ({datetime.now(UTC):%Y-%m-%d})"
    changelog.write_text(changelog.read_text().replace(UNRELEASED, heading, 1))


def wrong(version: str, root: Path = ROOT) -> list[str]:
    """The places that don't say `version`, and a changelog without its section."""
    found = [("pyproject.toml", current(root)), *repeated(root)]
    places = [f"{where} says {what}" for where, what in found if what != version]
    try:
        notes(version, root)
    except LookupError as error:
        places.append(str(error))
    return places


def _versions(where: str, content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield where, content["version"]
    for name, wanted in content.get("dependencies", {}).items():
        if name in OURS:
            yield f"{where}: {name}", wanted


def _set(text: str, version: str) -> str:
    text = re.sub(r'("version": )"[^"]+"', rf'\1"{version}"', text, count=1)
    return re.sub(r'("@runcast/[a-z]+": )"\d[^"]*"', rf'\1"{version}"', text)


def _set_ours(dependencies: dict[str, str], version: str) -> None:
    for name in OURS & dependencies.keys():
        dependencies[name] = version


def main(arguments: list[str]) -> int:
    match arguments:
        case ["prepare", version]:
            prepare(version)
        case ["check", version]:
            places = wrong(version)
            sys.stderr.writelines(f"{place}\n" for place in places)
            return 1 if places else 0
        case ["notes", version]:
            sys.stdout.write(notes(version))
        case _:
            sys.stderr.write(__doc__ or "")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
