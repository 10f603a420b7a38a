"""The roles of the documentation are those of the code."""

from pathlib import Path

from runcast_server.auth import rights
from runcast_server.auth.principal import Role

PEOPLE = (Path(__file__).parents[3] / "docs" / "people.md").read_text()


def test_the_documentation_shows_the_roles_of_the_code() -> None:
    assert rights.as_table() in PEOPLE


def test_every_role_stands_in_the_table_in_its_order() -> None:
    assert [right.role for right in rights.RIGHTS] == [*Role, None]
