"""The torture itself, short: a run with every kind of fault, and the proof that its checker notices.

`make torture` is the same for ten minutes.
"""

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop
from tests.torture.cluster import Cluster
from tests.torture.programs import service, wait
from tests.torture.report import Report
from tests.torture.run import Plan, torture
from tests.torture.sabotage import SABOTAGES

CAUGHT_AS = {
    "skip a publish": "lost",
    "drop a frame": "lost",
    "swap two": "reordered",
    "double one": "doubled",
    "lose the tail": "lost",
}


@pytest.fixture
def root() -> Iterator[Path]:
    """A directory with a short path, as sockets need it."""
    directory = Path(tempfile.mkdtemp(prefix="runcast-torture-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def told(report: Report) -> str:
    return "\n".join(report.lines())


@pytest.mark.timeout(300)
def test_every_kind_of_fault_leaves_every_history_whole(root: Path) -> None:
    cluster = Cluster(root)
    said: list[str] = []
    plan = Plan(
        120, seed=random.randrange(10_000), pause=(0.8, 1.8), at_least=1, at_most=1, readers=8
    )
    try:
        cluster.start()
        report = uvloop.run(torture(plan, cluster, said.append))
    finally:
        codes = cluster.stop()
    assert report.is_clean, "\n".join([*said, told(report)])
    assert report.seconds >= 30
    assert report.deliveries > 20_000
    assert set(codes.values()) == {0}


@pytest.fixture(scope="module")
def servers() -> Iterator[Cluster]:
    """Postgres and Valkey alone: each sabotage starts services of its own on them."""
    directory = Path(tempfile.mkdtemp(prefix="runcast-torture-"))
    cluster = Cluster(directory, apis=0, hubs=0, tailers=0)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize("kind", ["", *SABOTAGES])
def test_a_sabotaged_product_is_caught(servers: Cluster, kind: str) -> None:
    environment = servers.environment(TORTURE_SABOTAGE=kind)
    servers.services = {
        name: service(name, servers.root, environment) for name in ("api-1", "hub-1")
    }
    try:
        for each in servers.services.values():
            each.start()
        for each in servers.services.values():
            wait(each.listens, each.name)
        project = kind.replace(" ", "-") or "as-it-is"
        plan = Plan(
            2.0,
            1,
            readers=2,
            kinds=(),
            project=project,
            newcomer_every=60,
            patience=5,
            has_rooms=False,
        )
        report = uvloop.run(torture(plan, servers, str))
    finally:
        for each in servers.services.values():
            each.end()
    if not kind:
        assert report.is_clean, told(report)
        return
    assert report.number(CAUGHT_AS[kind]) > 0, told(report)
