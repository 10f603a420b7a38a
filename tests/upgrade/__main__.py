"""`python -m tests.upgrade NAME`: makes NAME.sql.xz and NAME.answers.xz with the code of this checkout."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from runcast_server.process import migrate
from tests import servers
from tests.upgrade import answers, dumps, world
from tests.urls import in_database


def main(name: str) -> None:
    """Make the world, read it, dump it."""
    with (
        servers.postgres() as server,
        servers.redis() as redis_url,
        tempfile.TemporaryDirectory() as data,
    ):
        url = in_database(server, name)
        migrate.up(url)
        asyncio.run(world.make(url, redis_url, Path(data)))
        dumps.write(url, name)
        answers.write(name, asyncio.run(answers.ask_everything(url, redis_url, Path(data))))


if __name__ == "__main__":
    main(*sys.argv[1:])
