"""Export requests and answers as JSON.

OTLP's JSON isn't that of protocol buffers: ids are hex, so no general reader may be used (it would take them
for base64). Enums are integers, 64-bit numbers come as texts or numbers, and unknown members are ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from runcast_api.http import nesting
from runcast_api.otlp.wire import (
    DEPTH,
    MOST_NANOSECONDS,
    SPAN_CHARACTERS,
    TRACE_CHARACTERS,
    BadItem,
    Bundle,
    Export,
    Json,
    Record,
    Refused,
    Span,
    SpanEvent,
    Unreadable,
)

MEDIA_TYPE = "application/json"
BODY_DEPTH = 160
"""Of the body's own arrays and objects: a value of `DEPTH` levels takes four for each."""
MOST = 400_000
"""Arrays and objects of a body: an attribute takes two, and a batch of a thousand spans some 50,000. They are
made in one go, in which nothing else of the process runs."""
ERROR = 2
"""The status code of a span that failed."""
LEAST_INTEGER = -(2**63)
_HEX = re.compile(r"[0-9a-fA-F]*")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def logs(body: bytes) -> Export:
    """Raises `Unreadable`."""
    return _export(body, "resourceLogs", "scopeLogs", "logRecords", _record)


def spans(body: bytes) -> Export:
    """Raises `Unreadable`."""
    return _export(body, "resourceSpans", "scopeSpans", "spans", _span)


def check_metrics(body: bytes) -> None:
    """Raises `Unreadable`."""
    _list(_parsed(body), "resourceMetrics", "body")


def logs_answer(refused: Refused) -> bytes:
    """An empty object where everything was taken."""
    return _answer("rejectedLogRecords", refused)


def spans_answer(refused: Refused) -> bytes:
    """An empty object where everything was taken."""
    return _answer("rejectedSpans", refused)


def status(code: int, message: str) -> bytes:
    """A `google.rpc.Status`."""
    return orjson.dumps({"code": code, "message": message})


def _answer(counter: str, refused: Refused) -> bytes:
    if not refused.count:
        return b"{}"
    # 64-bit numbers are texts in this form.
    partial = {counter: str(refused.count), "errorMessage": refused.why}
    return orjson.dumps({"partialSuccess": partial})


def _parsed(body: bytes) -> Json:
    if nesting.has_many(body, MOST):
        raise Unreadable(
            f"the body holds more than {MOST:,} arrays and objects; send fewer records"
        )
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"the body isn't JSON in UTF-8: {error}") from None
    if not isinstance(given, dict):
        raise Unreadable("the body isn't an object")
    if nesting.is_deeper(body, BODY_DEPTH):
        raise Unreadable(f"the JSON is nested more than {BODY_DEPTH} deep")
    return given


def _export(
    body: bytes, resources: str, scopes: str, items: str, read: Callable[[Json], Any]
) -> Export:
    export = Export()
    for resource in _list(_parsed(body), resources, "body"):
        about = _about(resource, resources)
        for scope in _list(resource, scopes, resources):
            name = _object(scope, "scope", scopes).get("name")
            found = []
            for place, each in enumerate(_list(scope, items, scopes)):
                try:
                    found.append(read(each))
                except BadItem as bad:
                    export.refused.add(f"{items}.{place}: {bad}")
            export.bundles.append(Bundle(about, name if isinstance(name, str) else "", found))
    return export


def _about(resource: Json, where: str) -> Json:
    try:
        return _attributes(_object(resource, "resource", where))
    except BadItem as bad:
        raise Unreadable(f"{where}.resource.{bad}") from None


def _list(given: Mapping[str, Any], name: str, where: str) -> list[Any]:
    """A list of objects; raises `Unreadable` for anything else, but records may be wrong one by one."""
    found = given.get(name) or []
    if not isinstance(found, list):
        raise Unreadable(f"{where}.{name} isn't an array")
    if name not in ("logRecords", "spans") and not all(isinstance(each, dict) for each in found):
        raise Unreadable(f"{where}.{name} holds something that isn't an object")
    return found


def _object(given: Mapping[str, Any], name: str, where: str) -> Json:
    found = given.get(name) or {}
    if not isinstance(found, dict):
        raise Unreadable(f"{where}.{name} isn't an object")
    return found


def _record(given: Any) -> Record:
    if not isinstance(given, dict):
        raise BadItem("isn't an object")
    return Record(
        _time(given, "timeUnixNano") or _time(given, "observedTimeUnixNano"),
        _number(given, "severityNumber"),
        _text(given, "severityText"),
        _text(given, "eventName"),
        _value(given.get("body"), 0),
        _attributes(given),
        _id(given, "traceId", TRACE_CHARACTERS),
        _id(given, "spanId", SPAN_CHARACTERS),
    )


def _span(given: Any) -> Span:
    if not isinstance(given, dict):
        raise BadItem("isn't an object")
    trace_id = _id(given, "traceId", TRACE_CHARACTERS)
    span_id = _id(given, "spanId", SPAN_CHARACTERS)
    if not trace_id or not span_id:
        raise BadItem("traceId and spanId must be given")
    state = given.get("status")
    state = state if isinstance(state, dict) else {}
    return Span(
        trace_id,
        span_id,
        _id(given, "parentSpanId", SPAN_CHARACTERS),
        _text(given, "name"),
        _time(given, "startTimeUnixNano"),
        _time(given, "endTimeUnixNano"),
        _attributes(given),
        _number(state, "code") == ERROR,
        _text(state, "message"),
        tuple(map(_event, _events(given))),
    )


def _events(given: Json) -> list[Json]:
    found = given.get("events") or []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise BadItem("events: isn't an array of objects")
    return found


def _event(given: Json) -> SpanEvent:
    return SpanEvent(_time(given, "timeUnixNano"), _text(given, "name"), _attributes(given))


def _text(given: Mapping[str, Any], name: str) -> str:
    found = given.get(name)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise BadItem(f"{name}: isn't a text")
    return found


def _integer(name: str, found: Any) -> int:
    """A number, or a text that is one."""
    try:
        if isinstance(found, bool):
            raise TypeError
        if isinstance(found, float) and not found.is_integer():
            raise ValueError
        if isinstance(found, str) and len(found) > 20:
            raise ValueError
        number = int(found)
        if not LEAST_INTEGER <= number <= MOST_NANOSECONDS:
            raise ValueError
        return number
    except (TypeError, ValueError, OverflowError):
        raise BadItem(f"{name}: {str(found)[:40]!r} isn't a whole number") from None


def _number(given: Mapping[str, Any], name: str) -> int:
    found = given.get(name)
    return 0 if found is None else _integer(name, found)


def _time(given: Mapping[str, Any], name: str) -> int:
    found = _number(given, name)
    if not 0 <= found <= MOST_NANOSECONDS:
        raise BadItem(f"{name}: {found} isn't a time")
    return found


def _id(given: Mapping[str, Any], name: str, characters: int) -> str:
    """An id in hex; one of zeros alone is none (W3C Trace Context)."""
    found = _text(given, name)
    if not found.strip("0"):
        return ""
    if len(found) != characters or not _HEX.fullmatch(found):
        raise BadItem(f"{name}: isn't {characters} hexadecimal digits")
    return found.lower()


def _attributes(given: Mapping[str, Any]) -> Json:
    return _pairs(given.get("attributes"), 0)


def _pairs(given: Any, depth: int) -> Json:
    if not isinstance(given or [], list):
        raise BadItem("attributes: isn't an array")
    found: Json = {}
    for each in given or ():
        key = each.get("key") if isinstance(each, dict) else None
        if not isinstance(key, str):
            raise BadItem("attributes: holds something that isn't a key with a value")
        found[key] = _value(each.get("value"), depth)
    return found


def _value(given: Any, depth: int) -> Any:
    """The value in an object such as `{"stringValue": …}`; None for one of a kind that isn't known."""
    if given is None or depth >= DEPTH:
        return None
    if not isinstance(given, dict):
        raise BadItem('a value isn\'t an object such as {"stringValue": …}')
    for name, found in given.items():
        if found is not None and (read := _VALUES.get(name)) is not None:
            return read(name, found, depth)
    return None


def _string(name: str, found: Any, _: int) -> str:
    return _text({name: found}, name)


def _whole(name: str, found: Any, _: int) -> int:
    return _integer(name, found)


def _truth(_name: str, found: Any, _: int) -> bool | None:
    return found if isinstance(found, bool) else None


def _array(name: str, found: Any, depth: int) -> list[Any]:
    values = found.get("values") if isinstance(found, dict) else None
    if not isinstance(values or [], list):
        raise BadItem(f"{name}.values: isn't an array")
    return [_value(each, depth + 1) for each in values or ()]


def _keyed(_name: str, found: Any, depth: int) -> Json:
    return _pairs(found.get("values") if isinstance(found, dict) else None, depth + 1)


def _double(name: str, found: Any, _: int) -> float:
    if isinstance(found, str) and found in _NOT_FINITE:
        return _NOT_FINITE[found]
    try:
        if isinstance(found, bool):
            raise TypeError
        return float(found)
    except (TypeError, ValueError, OverflowError):
        raise BadItem(f"{name}: {str(found)[:40]!r} isn't a number") from None


_VALUES: Mapping[str, Callable[[str, Any, int], Any]] = {
    "stringValue": _string,
    "bytesValue": _string,
    "intValue": _whole,
    "boolValue": _truth,
    "doubleValue": _double,
    "arrayValue": _array,
    "kvlistValue": _keyed,
}
