"""A log entry, made ready before the run's files are locked.

Many threads log into one run. What a call means is worked out by each of them; what has to be done in
line, the writing, is then done for all that wait at once (`recorder.write_entries`).
"""

from typing import Any, NamedTuple

from runcast._recording import messages
from runcast._support import acceptable, encoding
from runcast._support.times import Stamps

_stamps = Stamps()


class LogEntry(NamedTuple):
    """One entry, as each file holds it, with its line end."""

    message: bytes
    """For the spool."""
    shown: bytes
    """For logs.txt."""
    structured: bytes | None
    """For logs.jsonl, where that is written."""


def log_entry(
    run_id: str,
    message: Any,
    level: Any = "info",
    agent_name: Any = None,
    event_type: Any = None,
    payload: Any = None,
    ts: Any = None,
    is_structured: bool = False,
) -> LogEntry:
    """An entry; `ts` is as `acceptable.moment` takes it. Of a text or payload beyond 64 or 128 KiB the
    server gets the beginning; logs.txt has the whole text."""
    text = acceptable.printable(message)
    seconds, milliseconds = _stamps.both(acceptable.moment(ts))
    data = messages.log_data(
        text, "info" if level is None else level, agent_name, event_type, payload, milliseconds
    )
    # Without an id: its place in the spool is its identity.
    said = encoding.encode({"type": messages.LOG, "run_id": run_id, "data": data})
    loudness = data["level"].upper()
    shown = f"{seconds} [{loudness}] {text}\n".encode()
    if not is_structured:
        return LogEntry(said + b"\n", shown, None)
    structured = {"ts": seconds, "level": loudness, "msg": text}
    structured |= {name: data[name] for name in ("agent_name", "event_type") if name in data}
    return LogEntry(said + b"\n", shown, encoding.encode(structured) + b"\n")
