"""A history that went back gets another identity (`epoch`).

After a restore, or a promotion that lost commits, Postgres gives numbers again that clients have seen.
A component that remembers a higher number than Postgres now names is a witness: Redis's head, which the
sweeper compares, and a hub's rooms; where no one is left, the operator says so (`runcast db
after-restore`). The new epoch makes open and returning streams begin again, with a `gap` of `reason:
"reset"`; what Redis held belongs to the history that is gone."""

from __future__ import annotations

import secrets
from uuid import UUID

import structlog

from runcast_server import outages, postgres_hosts, unfinished_restore
from runcast_server.db import Pool, acquire
from runcast_server.eventlog.bus import Bus, Head

_RENEW = """
UPDATE project_counters SET epoch = $2 WHERE project_id = $1 AND epoch = $3 AND last_seq < $4
RETURNING last_seq
"""

_RENEW_ALL = "UPDATE project_counters SET epoch = floor(random() * 2 ^ 52)::bigint"

log = structlog.get_logger()


async def renew(pool: Pool, bus: Bus, project_id: UUID, seen: Head) -> None:
    """Gives the project another epoch, if this history has ended before the number that was `seen` in it.

    Any number of witnesses may say so at once: one of them is the first. A Redis that is away learns of it
    from the sweeper. Raises `Unavailable` or a database error.
    """
    epoch = secrets.randbits(52)
    async with acquire(pool) as connection:
        last_seq = await connection.fetchval(_RENEW, project_id, epoch, seen.epoch, seen.seq)
    if last_seq is None:
        return
    log.error("history.went_back", project=str(project_id), was=seen.seq, now=last_seq)
    try:
        await bus.forget(project_id)
        await bus.seed(project_id, epoch, last_seq)
    except outages.REDIS as error:
        log.warning("history.not_told", project=str(project_id), error=outages.named(error))


async def renew_all(owner_url: str) -> int:
    """Gives every project another epoch; answers how many there are. Hubs notice within seconds, and Redis
    with the next event or sweep. A restore of this database is finished with it. Raises `OSError` or an
    `asyncpg` error."""
    connection = await postgres_hosts.connect(owner_url, seconds=postgres_hosts.CONNECT_SECONDS)
    try:
        async with connection.transaction():
            done: str = await connection.execute(_RENEW_ALL)
            await unfinished_restore.end(connection)
    finally:
        await connection.close()
    return int(done.split()[1])
