"""Which traces are kept, and what a collector can't do to the process."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from typing import Any

import pytest
from tests import collector as collectors

from runcast_hub.traced import Deliveries
from runcast_server.eventlog.bus import Traced, parse_live
from runcast_server.process import process
from runcast_server.process.process import StartError
from runcast_server.settings import TracingSettings
from runcast_server.tracing import otel
from runcast_server.tracing.otel import OtelTracer

CAUSE = f"00-{'a' * 31}1-{'b' * 16}-01"
DROPPED = f"00-{'a' * 31}1-{'b' * 16}-00"


def tracer(url: str, **settings: Any) -> OtelTracer:
    return OtelTracer(TracingSettings(traces_url=url, **settings), "runcast-test")


@pytest.mark.anyio
async def test_a_span_goes_on_with_a_trace_or_begins_one() -> None:
    with collectors.running() as collector:
        made = tracer(collector.url)
        for cause in (CAUSE, None, "nonsense"):
            span = made.begin("work", "internal", cause)
            assert span is not None
            span.name("hard work")
            span.end("it failed")
        assert made.begin("work", "internal", DROPPED) is None
        await made.close()
    assert [span.name for span in collector.spans] == ["hard work"] * 3
    assert [span.above for span in collector.spans] == ["b" * 16, "", ""]
    assert len({span.trace for span in collector.spans}) == 3


@pytest.mark.anyio
async def test_all_processes_keep_the_same_traces() -> None:
    with collectors.running() as collector:
        one, other = (tracer(collector.url, traces_sample=0.5) for _ in range(2))
        kept = 0
        for number in range(200):
            cause = f"00-{number * 2**56 + 1:032x}-{'b' * 16}-01"
            found = [made.begin("work", "internal", cause) for made in (one, other)]
            assert (found[0] is None) == (found[1] is None)
            kept += found[0] is not None
        assert 60 < kept < 140
        await one.close()
        await other.close()


@pytest.mark.anyio
async def test_a_collector_that_says_nothing_keeps_nothing_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(otel, "CLOSE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        made = tracer(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        for _ in range(10_000):
            span = made.begin("work", "internal", None)
            assert span is not None
            span.end()
        await made.close()
        assert "traces" in {thread.name for thread in threading.enumerate()}, (
            "it sends on by itself"
        )


def test_without_the_sdk_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, *_: object) -> object:
        raise ImportError("No module named 'opentelemetry'")

    monkeypatch.setattr(process.pkgutil, "resolve_name", absent)
    assert process._tracer(TracingSettings(), "runcast") is None
    with pytest.raises(StartError, match=r"pip install 'runcast\[tracing\]'"):
        process._tracer(TracingSettings(traces_url="http://localhost:4318"), "runcast")


def test_what_sends_spans_is_loaded_only_where_traces_are_set() -> None:
    program = (
        "import sys, runcast_server.process.launch, runcast_hub.service;"
        "print([name for name in sys.modules if name.startswith('opentelemetry.exporter')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("http://collector:4318/", "http://collector:4318/v1/traces"),
        ("https://otel.example.org/api/traces", "https://otel.example.org/api/traces"),
    ],
)
def test_spans_are_sent_where_collectors_take_them(url: str, endpoint: str) -> None:
    assert TracingSettings(traces_url=url).traces_endpoint == endpoint


def test_the_message_of_a_trace_is_understood_or_nothing() -> None:
    said = f"t7 41 {CAUSE} {DROPPED}".encode()
    assert parse_live(said) == Traced(7, 41, (CAUSE, DROPPED))
    for odd in (b"t", b"t7", b"t7 x", b"t7 \xff", b"tx 4 y"):
        assert parse_live(odd) is None


class Noted:
    """A tracer that notes which spans ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def begin(self, name: str, kind: object, cause: str | None, *_: Any, **__: Any) -> Any:
        noted = self

        class One:
            def end(self, failure: str | None = None, about: Any = None) -> None:
                noted.ended.append(str(cause))

        return One()


def test_deliveries_end_in_order_and_are_bounded() -> None:
    noted = Noted()
    deliveries = Deliveries(noted, {})  # type: ignore[arg-type]
    for number in range(1, 1_001):
        deliveries.begin([str(number)], number)
    assert deliveries
    deliveries.end(998, 1)
    assert noted.ended[-1] == "998"
    assert len(noted.ended) < 300
    deliveries.clear()
    assert not deliveries
    untraced = Deliveries(None, {})
    untraced.begin([CAUSE], 1)
    assert not untraced
