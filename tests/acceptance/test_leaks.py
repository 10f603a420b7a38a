"""Streams opened and closed leave nothing behind. 100,000 of them: `python -m tests.torture.leaks`."""

import uvloop
from tests.acceptance.faults import running
from tests.torture.cluster import Cluster
from tests.torture.leaks import Held, leaked, measure

CONNECTIONS = 3_000


def test_streams_that_come_and_go_leave_nothing_behind() -> None:
    with running(
        apis=1, hubs=1, tailers=0, RUNCAST_SSE_MAX_CONNECTIONS_PER_KEY="1000000"
    ) as cluster:
        before, after = uvloop.run(measured(cluster))
    assert leaked(before, after, CONNECTIONS) == [], f"{before}; {after}"


async def measured(cluster: Cluster) -> tuple[Held, Held]:
    """What the hub holds before and after. An allocator takes more room now and then, and keeps it; a leak
    takes it each time, so what seems to be one is looked at once more."""
    before, after = await measure(cluster, CONNECTIONS, warm_up=4_000)
    if leaked(before, after, CONNECTIONS):
        before, after = await measure(cluster, CONNECTIONS, warm_up=0)
    return before, after
