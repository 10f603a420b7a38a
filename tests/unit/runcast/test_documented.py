"""What people can use is described."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperGroup

from runcast import RunTracker
from runcast.cli import exits
from runcast.cli.program import build
from runcast.client.endpoints import Endpoints

DOCS = Path(__file__).parents[3] / "docs"


def commands(group: TyperGroup, prefix: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name


@pytest.mark.parametrize("command", sorted(commands(build([]))))
def test_every_command_is_in_the_documents(command: str) -> None:
    """A group's line may name its commands together: `runs ls|show`."""
    text = (DOCS / "cli.md").read_text().replace("\\|", "|")
    group, _, name = command.partition(" ")
    lines = [line for line in text.splitlines() if group in line]
    assert any(name in line for line in lines), f"docs/cli.md says nothing of {command}"


def test_every_exit_code_is_in_the_documents() -> None:
    table = (DOCS / "cli.md").read_text().partition("## Exit codes")[2]
    codes = {value for name, value in vars(exits).items() if name.isupper()}
    assert [code for code in codes if str(code) not in table] == []


@pytest.mark.parametrize("public", [name for name in dir(RunTracker) if not name.startswith("_")])
def test_every_call_of_a_tracker_has_a_docstring(public: str) -> None:
    found = getattr(RunTracker, public)
    assert not callable(found) or found.__doc__


def test_most_endpoints_say_what_they_take() -> None:
    described = [value for value in vars(Endpoints).values() if getattr(value, "__doc__", None)]
    assert len(described) > 60
