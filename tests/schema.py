"""`db/schema.sql`: what the migrations come to. `make schema` writes it, a test compares it."""

import re
import subprocess
from pathlib import Path

from runcast_server.embedded import postgres
from runcast_server.process import migrate
from tests import servers
from tests.urls import in_database

FILE = Path(__file__).parents[1] / "db" / "schema.sql"

# Daily partitions carry the date of the day on which they were made.
PARTITIONS = ("segments_2*", "runtime_events_2*")
NOISE = re.compile(
    r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*)\n", re.MULTILINE
)
BLANK_LINES = re.compile(r"\n{3,}")
HEAD = (
    "-- What the migrations come to, dumped by Postgres 18's pg_dump. `make schema` writes it.\n\n"
)


def dump(url: str) -> str:
    """The schema of a migrated database, without what differs from day to day or server to server."""
    excluded = [f"--exclude-table={pattern}" for pattern in PARTITIONS]
    program = str(postgres.binary("pg_dump"))
    command = [program, "--schema-only", "--no-owner", *excluded, f"--dbname={url}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return HEAD + BLANK_LINES.sub("\n\n", NOISE.sub("", text)).strip() + "\n"


def main() -> None:
    """Migrate an empty database and write its schema down."""
    with servers.postgres() as url:
        database = in_database(url, "runcast_schema")
        migrate.up(database)
        FILE.write_text(dump(database))


if __name__ == "__main__":
    main()
