"""What would hurt with the Redis of the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator

from runcast.cli.doctor_report import OK, PROBLEM, WARNING, Finding
from runcast_server import outages
from runcast_server.eventlog.bus import Bus
from runcast_server.redis_access.diagnosis import WrongServer
from runcast_server.settings import ServerSettings

ABOUT = "redis"
PROBLEMS = frozenset({"redis_kind", "redis_eviction", "redis_version"})
"""Those that lose or delay something already; the others are warnings."""


async def check(read: ServerSettings) -> AsyncIterator[Finding]:
    """Whether it answers, takes writes, is what its URL says, and keeps what it is given."""
    url = read.redis.redis_url
    if url is None:
        yield Finding(ABOUT, OK, "the embedded Valkey of the data directory")
        return
    bus = Bus(url)
    try:
        await bus.check_kind()
        await bus.check()
        found = await bus.diagnosis().warnings()
        for name, text in found.items():
            yield Finding(ABOUT, PROBLEM if name in PROBLEMS else WARNING, text)
        if not found:
            yield Finding(ABOUT, OK, "it answers, takes writes, evicts nothing and is persistent")
    except WrongServer as error:
        yield Finding(ABOUT, PROBLEM, f"what RUNCAST_REDIS_URL names is {error}")
    except outages.REDIS as error:
        yield Finding(ABOUT, PROBLEM, str(error) or type(error).__name__, "see RUNCAST_REDIS_URL")
    finally:
        await bus.close()
