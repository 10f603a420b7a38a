"""A `lines` message that came over HTTP: the same path as from the stream, answered with the cursor."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from runcast_api.ingest import line_batch, rejects
from runcast_api.ingest.batch_items import Item, is_feed
from runcast_api.ingest.messages import Message
from runcast_api.ingest.run_lookup import Address
from runcast_api.ingest.slow_path import Handlers, apply
from runcast_api.logs.entries import LinesMessage
from runcast_api.logs.sources import SourceKey
from runcast_server.errors import Invalid
from runcast_server.eventlog.log import EventLog, Transaction
from runcast_server.tracing import spans

VIA_HTTP = "http"
"""Stands where rejects of the stream have their entry's id."""

_HAS_DIRECTORY = """
UPDATE runs SET directory_speaks = true WHERE id = $1 AND NOT directory_speaks
"""


async def take_lines_at_once(
    eventlog: EventLog, project_id: UUID, run_id: UUID, lines: LinesMessage
) -> tuple[dict[str, Any], int] | None:
    """Stores a `lines` message in one statement; answers the cursor that then stands, and the number of its
    last event. None where it takes more than that, and nothing is changed."""
    message = Message("lines", run_id=run_id, source=lines.source, lines=lines.by_a_reporter())
    try:
        ready = await line_batch.prepare([(message, Address(run_id, project_id))])
        if ready is None:
            return None
        with spans.during(eventlog.tracer, "commit", "internal", spans.here()) as causes:
            async with eventlog.connected() as connection:
                committed = await line_batch.take(connection, ready, None)
    except (
        Exception
    ):  # the long way says what is wrong; what may have been committed, it finds there
        return None
    if committed is None:
        return None
    eventlog.publish(committed, causes)
    [move], [one] = ready.moves.values(), committed
    return move.cursor(), one.chain.last


async def take_lines(
    transaction: Transaction,
    project_id: UUID,
    run_id: UUID,
    lines: LinesMessage,
    handlers: Handlers,
    *,
    is_careful: bool = False,
) -> dict[str, Any]:
    """Stores what is new of a `lines` message, or applies it if its source is a feed; answers the cursor
    that then stands. Lines of a feed that can't be accepted are kept as rejects; with `is_careful` also
    those that raise what no check foresaw. Where the lines lie in a file isn't believed: only the
    tailer knows that."""
    message = Message("lines", run_id=run_id, source=lines.source, lines=lines.by_a_reporter())
    item = Item(b"", message, Address(run_id, project_id))
    scope = await apply(transaction, [item], handlers, is_careful=is_careful)
    if is_feed(lines.source):
        # Who reports the run feeds it from its directory: what the tailer finds there is the run's, too.
        await transaction.connection.execute(_HAS_DIRECTORY, run_id)
    if item.refusal is not None:
        raise Invalid(item.refusal)
    await rejects.keep(transaction.connection, [(VIA_HTTP, inner) for inner in item.refused()])
    return scope.sources[SourceKey(run_id, lines.source)].cursor()
