"""Databases of earlier versions, loaded with psql out of the Postgres wheel."""

from __future__ import annotations

import lzma
import subprocess
from pathlib import Path

from runcast_server.embedded import postgres

FOLDER = Path(__file__).parent / "data"


def load(url: str, name: str) -> None:
    """Loads the dump into an empty database. The service roles must be there."""
    command = [str(postgres.binary("psql")), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", url]
    text = lzma.decompress((FOLDER / f"{name}.sql.xz").read_bytes())
    done = subprocess.run(command, input=text, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
