"""Databases as files: dumped with pg_dump and loaded with psql, both out of the Postgres wheel."""

from __future__ import annotations

import lzma
import re
import subprocess
from pathlib import Path

from runcast_server.embedded import postgres

FOLDER = Path(__file__).parent / "data"

_NEWER = re.compile(rb"^(SET transaction_timeout .*|\\(un)?restrict .*)\n", re.MULTILINE)
"""What a newer pg_dump writes and an older server or psql doesn't know."""


def write(url: str, name: str) -> None:
    """Dumps the whole database, schema and rows."""
    command = [str(postgres.binary("pg_dump")), "--no-owner", f"--dbname={url}"]
    dumped = subprocess.run(command, capture_output=True, check=True).stdout
    FOLDER.mkdir(exist_ok=True)
    packed = lzma.compress(_NEWER.sub(b"", dumped), preset=9 | lzma.PRESET_EXTREME)
    (FOLDER / f"{name}.sql.xz").write_bytes(packed)


def load(url: str, name: str) -> None:
    """Loads the dump into an empty database. The service roles must be there."""
    command = [str(postgres.binary("psql")), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", url]
    text = lzma.decompress((FOLDER / f"{name}.sql.xz").read_bytes())
    done = subprocess.run(command, input=text, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
