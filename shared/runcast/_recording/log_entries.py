"""A log entry, made ready before the run's files are locked.

Many threads log into one run. What a call means is worked out by each of them; what has to be done in
line, the writing, is then done for all that wait at once (`recorder.write_entries`).
"""

from typing import Any, NamedTuple

import orjson

from runcast._recording import messages
from runcast._support import acceptable, encoding
from runcast._support.times import Stamps
from runcast.contract import TEXT_BYTES

_stamps = Stamps()
_SHORT = TEXT_BYTES // 4
"""Characters of a text that is never cut, whatever they are."""
_FORMS = 1_000
_TEXT, _TIME = "a text", "a time"


LogEntry = tuple[bytes, bytes, bytes | None]
"""One entry, as spool.jsonl, logs.txt and logs.jsonl (where that is written) hold it, with its line end."""


class Form(NamedTuple):
    """What is the same in all entries of one run, level and agent: what stands around text and time."""

    before_text: bytes
    before_time: bytes
    behind: bytes
    level: str


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
    stamps = _stamps.both(acceptable.moment(ts))
    is_plain = event_type is None and payload is None and not is_structured
    if is_plain and len(text) <= _SHORT and type(level) is str:
        form = _form(run_id, level, agent_name)
        if form is not None:
            return _filled(form, text, *stamps)
    data = messages.log_data(
        text, "info" if level is None else level, agent_name, event_type, payload, stamps[1]
    )
    return _entry(run_id, text, data, stamps[0], is_structured)


_forms: dict[tuple[str, str, str | None], Form] = {}


def _form(run_id: str, level: str, agent_name: Any) -> Form | None:
    """None where something is of a host's own type, which may not even be compared."""
    if agent_name is not None and type(agent_name) is not str:
        return None
    form = _forms.get((run_id, level, agent_name))
    if form is None:
        if len(_forms) >= _FORMS:
            _forms.clear()
        form = _forms[run_id, level, agent_name] = _new_form(run_id, level, agent_name)
    return form


def _new_form(run_id: str, level: str, agent_name: str | None) -> Form:
    data = messages.log_data(_TEXT, level, agent_name, None, None, _TIME)
    before, _, rest = _said(run_id, data).partition(encoding.encode(_TEXT))
    between, _, behind = rest.rpartition(_TIME.encode())
    return Form(before, between, behind, data["level"].upper())


def _filled(form: Form, text: str, seconds: str, milliseconds: str) -> LogEntry:
    """What `_entry` makes, by putting text and time into their places."""
    before, between, behind, level = form
    said = b"%b%b%b%b%b" % (before, orjson.dumps(text), between, milliseconds.encode(), behind)
    return said, f"{seconds} [{level}] {text}\n".encode(), None


def _entry(
    run_id: str, text: str, data: dict[str, Any], seconds: str, is_structured: bool
) -> LogEntry:
    loudness = data["level"].upper()
    shown = f"{seconds} [{loudness}] {text}\n".encode()
    if not is_structured:
        return _said(run_id, data), shown, None
    structured = {"ts": seconds, "level": loudness, "msg": text}
    structured |= {name: data[name] for name in ("agent_name", "event_type") if name in data}
    return _said(run_id, data), shown, encoding.encode(structured) + b"\n"


def _said(run_id: str, data: dict[str, Any]) -> bytes:
    """Without an id: its place in the spool is its identity."""
    return encoding.encode({"type": messages.LOG, "run_id": run_id, "data": data}) + b"\n"
