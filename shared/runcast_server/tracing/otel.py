"""Spans by OpenTelemetry's SDK, sent to a collector over OTLP/HTTP (the extra `runcast[tracing]` brings it).

Whether a trace is kept is decided by its number alone, so that all processes decide alike; one that began
elsewhere and isn't kept there isn't kept here either. Spans wait for the collector in a bounded queue, and
are sent by a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import threading
import time
from importlib.metadata import version

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from runcast_server.settings import TracingSettings
from runcast_server.tracing.spans import NOTHING, About, Cause, Kind

SEND_SECONDS = 5.0
CLOSE_SECONDS = 2.0
SAY_EVERY_SECONDS = 60.0
NANOSECONDS = 1_000_000_000

_CAUSE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_KINDS = {
    "server": trace.SpanKind.SERVER,
    "internal": trace.SpanKind.INTERNAL,
    "producer": trace.SpanKind.PRODUCER,
    "consumer": trace.SpanKind.CONSUMER,
}


class _Seldom(logging.Filter):
    """Lets a line a minute pass: a collector that is away is said, and not for each attempt."""

    _next_at = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        now = time.monotonic()
        if now < self._next_at:
            return False
        self._next_at = now + SAY_EVERY_SECONDS
        return True


class OtelSpan:
    """A span that is kept."""

    __slots__ = ("_span", "cause")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        found = span.get_span_context()
        self.cause: Cause = f"00-{found.trace_id:032x}-{found.span_id:016x}-01"

    def name(self, name: str) -> None:
        """See `spans.Span`."""
        self._span.update_name(name)

    def end(self, failure: str | None = None, about: About = NOTHING) -> None:
        """See `spans.Span`."""
        self._span.set_attributes(about)
        if failure is not None:
            self._span.set_status(trace.StatusCode.ERROR, failure)
        self._span.end()


class OtelTracer:
    """See `spans.Tracer`. `service` is what the process is called in traces."""

    def __init__(self, settings: TracingSettings, service: str) -> None:
        by_number = TraceIdRatioBased(settings.traces_sample)
        self._provider = TracerProvider(
            sampler=ParentBased(by_number, remote_parent_sampled=by_number),
            resource=Resource.create(
                {"service.name": service, "service.version": version("runcast")}
            ),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(
            endpoint=settings.traces_endpoint,
            headers=settings.headers_of_traces,
            timeout=SEND_SECONDS,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        exporting = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        exporting.addFilter(_Seldom())
        self._tracer = self._provider.get_tracer("runcast")

    def begin(
        self,
        name: str,
        kind: Kind,
        cause: Cause | None,
        about: About = NOTHING,
        *,
        since: float | None = None,
    ) -> OtelSpan | None:
        """See `spans.Tracer`."""
        span = self._tracer.start_span(
            name,
            context=_context(cause),
            kind=_KINDS[kind],
            attributes=about,
            start_time=None if since is None else int(since * NANOSECONDS),
        )
        return OtelSpan(span) if span.is_recording() else None

    async def close(self) -> None:
        """See `spans.Tracer`. In a thread that nothing waits for: a collector that doesn't answer must not
        keep the process from ending."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=shut_down, name="traces", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await done.wait()


def _context(cause: Cause | None) -> Context:
    """Where a span belongs: beneath its cause, or nowhere, where there is none or it can't be understood."""
    found = _CAUSE.fullmatch(cause or "")
    if found is None:
        return Context()
    trace_id, span_id, flags = (int(found[place], 16) for place in (1, 2, 3))
    parent = trace.SpanContext(
        trace_id, span_id, is_remote=True, trace_flags=trace.TraceFlags(flags)
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())
