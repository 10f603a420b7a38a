"""Export requests and answers as protocol buffers (OTLP 1.x, `opentelemetry.proto.collector`)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from runcast_api.otlp.wire import (
    DEPTH,
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

MEDIA_TYPE = "application/x-protobuf"


def logs(body: bytes) -> Export:
    """Raises `Unreadable`."""
    request = _parsed(ExportLogsServiceRequest(), body)
    export = Export()
    for resource in request.resource_logs:
        about = _attributes(resource.resource.attributes)
        for scope in resource.scope_logs:
            items = _items(scope.log_records, _record, export)
            export.bundles.append(Bundle(about, scope.scope.name, items))
    return export


def spans(body: bytes) -> Export:
    """Raises `Unreadable`."""
    request = _parsed(ExportTraceServiceRequest(), body)
    export = Export()
    for resource in request.resource_spans:
        about = _attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            items = _items(scope.spans, _span, export)
            export.bundles.append(Bundle(about, scope.scope.name, items))
    return export


def check_metrics(body: bytes) -> None:
    """Raises `Unreadable`."""
    _parsed(ExportMetricsServiceRequest(), body)


def logs_answer(refused: Refused) -> bytes:
    """Nothing where everything was taken."""
    if not refused.count:
        return b""
    partial = ExportLogsPartialSuccess(
        rejected_log_records=refused.count, error_message=refused.why
    )
    return ExportLogsServiceResponse(partial_success=partial).SerializeToString()


def spans_answer(refused: Refused) -> bytes:
    """Nothing where everything was taken."""
    if not refused.count:
        return b""
    partial = ExportTracePartialSuccess(rejected_spans=refused.count, error_message=refused.why)
    return ExportTraceServiceResponse(partial_success=partial).SerializeToString()


def status(code: int, message: str) -> bytes:
    """A `google.rpc.Status`: field 1 the code, field 2 the message. Written by hand: two fields need no
    further package."""
    text = message.encode("utf-8", "replace")
    size, length = bytearray(), len(text)
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    return bytes((0x08, code, 0x12)) + bytes(size) + text


def _parsed(message: Any, body: bytes) -> Any:
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise Unreadable(f"the body isn't an export request: {error}") from None
    return message


def _items(given: Iterable[Any], read: Callable[[Any], Any], export: Export) -> list[Any]:
    found = []
    for each in given:
        try:
            found.append(read(each))
        except BadItem as bad:
            export.refused.add(str(bad))
    return found


def _record(record: Any) -> Record:
    return Record(
        record.time_unix_nano or record.observed_time_unix_nano,
        record.severity_number,
        record.severity_text,
        record.event_name,
        _value(record.body, 0),
        _attributes(record.attributes),
        _id("trace_id", record.trace_id, TRACE_CHARACTERS),
        _id("span_id", record.span_id, SPAN_CHARACTERS),
    )


def _span(span: Any) -> Span:
    trace_id = _id("trace_id", span.trace_id, TRACE_CHARACTERS)
    span_id = _id("span_id", span.span_id, SPAN_CHARACTERS)
    if not trace_id or not span_id:
        raise BadItem(f"span {span.name[:100]!r}: trace_id and span_id must be given")
    return Span(
        trace_id,
        span_id,
        _id("parent_span_id", span.parent_span_id, SPAN_CHARACTERS),
        span.name,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _attributes(span.attributes),
        span.status.code == Status.STATUS_CODE_ERROR,
        span.status.message,
        tuple(
            SpanEvent(event.time_unix_nano, event.name, _attributes(event.attributes))
            for event in span.events
        ),
    )


def _id(name: str, given: bytes, characters: int) -> str:
    """An id in hex; one of zeros alone is none (W3C Trace Context)."""
    if not given or not any(given):
        return ""
    if 2 * len(given) != characters:
        raise BadItem(f"{name}: {len(given)} bytes, not {characters // 2}")
    return given.hex()


def _attributes(given: Iterable[Any], depth: int = 0) -> Json:
    return {each.key: _value(each.value, depth) for each in given}


def _value(given: Any, depth: int) -> Any:
    kind = given.WhichOneof("value")
    if kind == "string_value":
        return given.string_value
    if kind == "int_value":
        return given.int_value
    if kind == "bool_value":
        return given.bool_value
    if kind == "double_value":
        return given.double_value
    if kind is None or depth >= DEPTH:
        return None
    if kind == "array_value":
        return [_value(each, depth + 1) for each in given.array_value.values]
    if kind == "kvlist_value":
        return _attributes(given.kvlist_value.values, depth + 1)
    if kind == "bytes_value":
        return base64.b64encode(given.bytes_value).decode()
    return None
