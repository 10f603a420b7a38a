"""`db/schema.sql` and the migrations say the same."""

from tests import schema
from tests.urls import in_database


def test_schema_file_is_what_the_migrations_come_to(
    postgres_url: str, template_database: str
) -> None:
    assert schema.dump(in_database(postgres_url, template_database)) == schema.FILE.read_text(), (
        "run `make schema`"
    )
