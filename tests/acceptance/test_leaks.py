"""Streams opened and closed leave nothing behind. 100,000 of them: `python -m tests.torture.leaks`."""

import uvloop
from tests.acceptance.faults import running
from tests.torture.leaks import leaked, measure

CONNECTIONS = 3_000


def test_streams_that_come_and_go_leave_nothing_behind() -> None:
    with running(
        apis=1, hubs=1, tailers=0, RUNCAST_SSE_MAX_CONNECTIONS_PER_KEY="1000000"
    ) as cluster:
        before, after = uvloop.run(measure(cluster, CONNECTIONS, warm_up=4_000))
    assert leaked(before, after, CONNECTIONS) == [], f"{before}; {after}"
