"""Whose the directory is that bears a run's name, as the API asks it."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import UUID

from runcast_server.db import Connection
from runcast_server.errors import Forbidden
from runcast_server.run_ownership import RunDirectories, RunIdentity

_IDENTITY = """
SELECT r.id, coalesce(r.key, r.id::text), p.id, p.slug
FROM runs r JOIN projects p ON p.id = r.project_id WHERE r.id = $1
"""


async def identity(connection: Connection, run_id: UUID) -> RunIdentity:
    """What a directory has to name in order to be the run's."""
    return RunIdentity(*await connection.fetchrow(_IDENTITY, run_id))


def refuse_others(directory: Path, directories: RunDirectories, run: RunIdentity) -> None:
    """Raises `Forbidden` where the run's directory is there and is another run's, which has the same key in
    another project. One that comes later the tailer looks at."""
    if os.path.lexists(directory) and not directories.is_own(run):
        raise Forbidden(
            "the directory of this name isn't this run's: its run.json has to name the run's id, or its "
            "project and key"
        )
