"""Where a session's file goes on that another run, one of `exec`, has reported so far."""

from __future__ import annotations

from runcast._support import times
from runcast.agents import records
from runcast.watch.line_file import Line
from runcast.watch.sessions import Adapter, Session


def left_at(adapter: Adapter, session: Session, known: int, over_ns: int) -> int:
    """The offset of what the run hasn't reported: of the first record behind `known` that was written after
    the run's end (ns since 1970). Up to `known` the file was seen while the run went on; that is all there is
    to go by where records have no times, or a clock went back. Raises `OSError`."""
    source = adapter.source(session)
    if not source.is_positional:
        return 0
    source.offset = known
    for line in source.lines():
        if (at_ns := _time_of(line)) is not None and at_ns > over_ns:
            return line.offset
    return known


def _time_of(line: Line) -> int | None:
    """When a record was written; None where it doesn't say so."""
    try:
        told = records.loads(line.text or b"")["timestamp"]
        return int(times.parse(told).timestamp() * 1e9)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
