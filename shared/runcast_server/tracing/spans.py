"""What is traced of an event: its request, the commit, the publishing, the delivery by each hub.

All of them are spans of one trace, also where they happen in processes of their own. A span is known to
others by its `Cause`: requests bring one in `traceparent`, a commit takes it along with what it publishes,
and Redis carries it to the hubs in a message of its own, so what subscribers get stays the same, byte for
byte.

Many changes share a commit and many commits a publishing. Each change has a span of its own for them, so that
every trace is whole; beyond `MOST` of them the others do without.

This module needs no OpenTelemetry: without a tracer there are no causes, and nothing is done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Literal, Protocol, TypeAlias

MOST = 16

Cause: TypeAlias = str
"""A span as those name it that go on with its trace: a `traceparent` of W3C Trace Context."""
Kind: TypeAlias = Literal["server", "internal", "producer", "consumer"]
About: TypeAlias = Mapping[str, str | int]
"""Attributes of a span, by their names in OpenTelemetry."""

NOTHING: About = {}

current: ContextVar[Cause | None] = ContextVar("runcast_cause", default=None)
"""What is being done for whom, in this task: set for a traced request and a traced batch of the ingest."""


class Span(Protocol):
    """Something that takes time. It is kept once it has ended."""

    @property
    def cause(self) -> Cause: ...

    def name(self, name: str) -> None:
        """Calls it by another name than at its beginning."""

    def end(self, failure: str | None = None, about: About = NOTHING) -> None:
        """Ends it: well, or with what went wrong."""


class Tracer(Protocol):
    """Makes spans, and sends them away in the background. It never fails, and never waits for who takes them:
    what can't be sent is dropped."""

    def begin(
        self,
        name: str,
        kind: Kind,
        cause: Cause | None,
        about: About = NOTHING,
        *,
        since: float | None = None,
    ) -> Span | None:
        """A span that goes on with a trace, or begins one where there is no `cause`; None where that trace
        isn't kept. `since` (seconds, Unix time): when it began, if not now."""

    async def close(self) -> None:
        """Sends what is left, for two seconds at most."""


def here() -> tuple[Cause, ...]:
    """The causes of what the present task does: one or none."""
    cause = current.get()
    return () if cause is None else (cause,)


def begin_all(
    tracer: Tracer | None,
    name: str,
    kind: Kind,
    causes: Sequence[Cause],
    about: About = NOTHING,
) -> list[Span]:
    """A span for each of the causes, the first `MOST` of them."""
    if tracer is None or not causes:
        return []
    begun = (tracer.begin(name, kind, cause, about) for cause in causes[:MOST])
    return [span for span in begun if span is not None]


def end_all(spans: Iterable[Span], failure: str | None = None) -> None:
    """Ends all of them."""
    for span in spans:
        span.end(failure)


@contextlib.contextmanager
def during(
    tracer: Tracer | None,
    name: str,
    kind: Kind,
    causes: Sequence[Cause],
    about: About = NOTHING,
) -> Iterator[tuple[Cause, ...]]:
    """Spans for the time of a block, which gets what those name that go on from there."""
    spans = begin_all(tracer, name, kind, causes, about)
    try:
        yield tuple(span.cause for span in spans)
    except BaseException as error:
        end_all(spans, type(error).__name__)
        raise
    else:
        end_all(spans)
