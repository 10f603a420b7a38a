"""The roles of the documentation and the console are those of the code."""

from pathlib import Path

from runcast_server.auth import operations, rights
from runcast_server.auth.principal import Role

ROOT = Path(__file__).parents[3]
PEOPLE = (ROOT / "docs" / "people.md").read_text()
CONSOLE = (ROOT / "services" / "console" / "src" / "projects" / "roles.ts").read_text()


def test_the_documentation_shows_the_roles_of_the_code() -> None:
    assert rights.as_table() in PEOPLE


def test_every_role_stands_in_the_table_in_its_order() -> None:
    assert [right.role for right in rights.RIGHTS] == [*Role, None]


def test_the_documentation_shows_what_every_operation_needs() -> None:
    assert operations.as_table() in PEOPLE


def test_the_console_offers_what_the_server_allows() -> None:
    """Its ranks, and the role that each of its rights needs."""
    ranks = "const RANK: Record<Role, number> = {{ {} }};".format(
        ", ".join(f"{role.name.lower()}: {place}" for place, role in enumerate(Role))
    )
    needs = [f'  {name}: "{role.name.lower()}",' for name, role in rights.CONSOLE.items()]
    assert ranks in CONSOLE
    assert "\n".join(["const NEEDS = {", *needs, "} as const"]) in CONSOLE
