"""What people can use is described."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from runcast import RunTracker
from runcast.cli import build, exits
from runcast.client.endpoints import Endpoints

DOCS = Path(__file__).parents[3] / "docs"


def commands(group: typer.Typer, prefix: str = "") -> Iterator[str]:
    for command in group.registered_commands:
        assert command.callback is not None
        yield prefix + (command.name or command.callback.__name__.replace("_", "-"))
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from commands(inner.typer_instance, f"{prefix}{inner.name} ")


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
