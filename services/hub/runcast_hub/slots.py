"""Places for streams: each caller has a limited number, counted over all hubs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from runcast_hub import metrics
from runcast_hub.connection_limits import Leases
from runcast_server.auth.principal import Principal
from runcast_server.errors import LimitReached
from runcast_server.settings import HubSettings

SLOT_WAIT_SECONDS = 5.0


@contextlib.asynccontextmanager
async def taken(
    leases: Leases, settings: HubSettings, caller: Principal, *, waits: bool
) -> AsyncIterator[None]:
    """A place among the caller's streams, given back if the block fails. Raises `LimitReached`; one who
    `waits` is refused only after some seconds: its old stream may still count."""
    limit = limit_of(settings, caller)
    wait = SLOT_WAIT_SECONDS if waits else 0.0
    if not await leases.take(caller.limit_name, limit, wait_seconds=wait):
        metrics.REFUSED.inc()
        raise LimitReached(f"at most {limit} streams at once", retry_after_seconds=5)
    try:
        yield
    except BaseException:
        await leases.give_back(caller.limit_name)
        raise


def limit_of(settings: HubSettings, caller: Principal) -> int:
    """How many streams this caller may hold; 0: no limit."""
    if caller.key_id is not None:
        return settings.sse_max_connections_per_key
    if caller.share_id is not None:
        return settings.sse_max_connections_per_share_link
    return settings.sse_max_connections_per_user
