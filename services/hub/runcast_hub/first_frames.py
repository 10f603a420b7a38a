"""The first frames of a stream: `connected`, a gap, backfilled lines, and the position."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson
import structlog

from runcast_hub import backfill, metrics
from runcast_hub.chunks import CHUNK_BYTES
from runcast_hub.hub import Hub
from runcast_hub.snapshot import Snapshot
from runcast_hub.stream_request import Opening, Start
from runcast_hub.subscriber import Subscriber, gap
from runcast_hub.wire import Gone, Wire
from runcast_server import outages

log = structlog.get_logger()

_NOTHING: Mapping[str, Any] = MappingProxyType({})


async def begin(
    hub: Hub,
    stream: Wire,
    subscriber: Subscriber,
    opening: Opening,
    start: Start,
    snapshot: Snapshot,
    told: Mapping[str, Any] = _NOTHING,
) -> None:
    """Sends what comes before the events of a subscriber; `told` is said in `connected` besides. A client
    that goes, or storage that goes away, ends the stream; it is never half begun."""
    try:
        await _send(hub, subscriber, opening, start, snapshot, told)
    except Gone:
        stream.is_gone = True
    except outages.ANY as error:
        log.warning("stream.given_up", connection=stream.connection_id, error=str(error))
        stream.end("shutdown")


async def _send(
    hub: Hub,
    subscriber: Subscriber,
    opening: Opening,
    start: Start,
    snapshot: Snapshot,
    told: Mapping[str, Any],
) -> None:
    connected = {
        "connection_id": subscriber.connection_id,
        "project_id": str(opening.project_id),
        "epoch": str(snapshot.epoch),
        "head": snapshot.head,
        "resumed_from": start.resumed_from,
        "active_runs_complete": snapshot.is_complete,
        "heartbeat_s": hub.settings.sse_heartbeat_interval_s,
        "timeout_m": hub.settings.sse_connection_timeout_m,
        **told,
    }
    # The runs are the same bytes for everyone: a client that doesn't read them holds no copy.
    runs = opening.visible_runs(snapshot)
    before = b'event: connected\ndata: %b,"active_runs":' % orjson.dumps(connected)[:-1]
    if len(runs) > CHUNK_BYTES:
        await subscriber.write(before)
        await subscriber.write(runs)
        head = b"}\n\n"
    else:
        head = before + runs + b"}\n\n"
    if start.gap_reason is not None:
        metrics.GAPS.labels(start.gap_reason).inc()
        head += gap(opening.project_id, opening.filter, start.gap_reason, 1, start.cursor)
    tailed = opening.tailed_runs(snapshot)
    if not tailed:
        await subscriber.write(head + subscriber.heartbeat())
        return
    await subscriber.write(head)
    async for chunk in backfill.last_lines(
        hub.database.log, opening.project_id, tailed, opening.query.log_tail, start.cursor
    ):
        if subscriber.ending is not None:
            return
        await subscriber.write(chunk)
    # Only now: a client that is cut off in the middle of its backfill asks for it again.
    await subscriber.write(subscriber.heartbeat())
