"""Redis as the services see it: a project's stream, head and live channel, and the ingest stream.

Postgres is the truth; what lies here is the recent past, for speed. Nothing in this module decides
about history: it moves chains of segments and says plainly what Redis knew (`Outcome`). Publishing is
idempotent and ordered by `scripts/publish.lua`, so anyone may repeat it at any time.

All keys of a project share the hash slot `{project id}`; messages go out with SPUBLISH, which a hub
receives with SSUBSCRIBE, so the same code runs on one server and on a cluster.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal, NamedTuple, TypeAlias
from uuid import UUID

from redis.exceptions import MovedError, RedisError, ResponseError

from runcast._support import redis_url
from runcast._support.redis_url import Host
from runcast_server.eventlog import chains
from runcast_server.eventlog.chains import Chain
from runcast_server.redis_access import clients, diagnosis, topology
from runcast_server.redis_access.clients import COMMAND_SECONDS
from runcast_server.redis_access.diagnosis import Diagnosis
from runcast_server.redis_access.topology import ALONE, Topology
from runcast_server.tracing.spans import Cause

LIVE_BYTES = 8 * 1024
"""A chain travels as a live message where its bodies are no larger; pub/sub has no back-pressure, so of a
larger one the message only names the head, and the hub reads the stream."""
STREAM_BYTES = 8 * 1024 * 1024
EXPIRY_MS = 3_600_000
AVOID_SECONDS = 2.0
"""How long Redis isn't asked again, where there is another way, after it failed or didn't answer."""
PROBE_KEY = "runcast:limit:probe"

Verdict = Literal["published", "done", "behind", "unknown", "epoch"]


class Outcome(NamedTuple):
    """What the publish script found, and the head that it knew."""

    verdict: Verdict
    head: int


class Keys(NamedTuple):
    """Where a project lives in Redis."""

    stream: str
    head: str
    live: str

    @classmethod
    def of(cls, project_id: UUID) -> Keys:
        base = f"runcast:{{{project_id}}}"
        return cls(f"{base}:stream", f"{base}:head", f"{base}:live")


@dataclass(frozen=True, slots=True)
class Head:
    """Events up to `seq` of this history are there. As a live message: fetch them, from the stream or from
    Postgres."""

    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class Deleted:
    """A live message: the project was deleted."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A live message: what comes next, up to `seq`, is traced, and goes on from these spans."""

    epoch: int
    seq: int
    causes: tuple[Cause, ...]


Message: TypeAlias = Chain | Head | Deleted
"""What comes on a live channel and says something of the history."""


def parse_live(message: bytes) -> Message | Traced | None:
    """A message of a live channel; None for one that isn't understood (a hub then checks its head)."""
    try:
        match message[:1]:
            case b"b":
                return chains.unpack(message[1:])
            case b"h":
                epoch, seq = message[1:].split(b" ")
                return Head(int(epoch), int(seq))
            case b"d":
                return Deleted()
            case b"t":
                begin, upto, *causes = message[1:].decode("ascii").split(" ")
                return Traced(int(begin), int(upto), tuple(causes))
    except ValueError:
        return None
    return None


def is_of_one_key(error: Exception) -> bool:
    """Whether an answer says that this key is of another kind, and nothing of the server."""
    return isinstance(error, ResponseError) and str(error).startswith("WRONGTYPE")


def _head_of(answer: Any) -> Head | None:
    """The head that a hash holds; None for what holds none, which seeding replaces."""
    try:
        epoch, seq = answer
        return Head(int(epoch), int(seq))
    except (TypeError, ValueError):
        return None


class Bus:
    """One process's connections to Redis. Every call has a deadline and raises one of `outages.REDIS`."""

    def __init__(self, url: str) -> None:
        self._url = redis_url.parse(url)
        self.is_cluster = self._url.kind == "cluster"
        self._avoid_until = 0.0
        self.client: Any = clients.connect(self._url)
        package = files("runcast_server.eventlog") / "scripts"
        self._publish = self.client.register_script((package / "publish.lua").read_text())
        self._seed = self.client.register_script((package / "seed.lua").read_text())

    def dedicated(self, *, block_seconds: float, server: Host = ALONE) -> Any:
        """A client of its own for reads that block up to `block_seconds` (redis-py counts them
        against its socket time-out), of one server of a cluster where one is named. The caller closes it.

        It raises the first error of a connection and never reconnects by itself: pub/sub would connect
        again under the task that is reading, and what was missed meanwhile would go unnoticed.
        """
        seconds = block_seconds + COMMAND_SECONDS
        if server != ALONE:
            return clients.connect_to(self._url, server, seconds, clients.never())
        return clients.connect(self._url, seconds, clients.never())

    async def topology(self) -> Topology:
        """Which server holds which key, as a cluster says it now. Raises one of `outages.REDIS`."""
        if self.is_cluster:
            return await topology.of_cluster(self.client)
        return Topology.of_one_server()

    @property
    def is_avoided(self) -> bool:
        """Whether Redis failed or didn't answer a moment ago: who can do without it doesn't ask."""
        return time.monotonic() < self._avoid_until

    def avoid(self) -> None:
        """Notes that Redis failed or didn't answer in time."""
        self._avoid_until = time.monotonic() + AVOID_SECONDS

    async def publish(
        self, project_id: UUID, chain: Chain, causes: Sequence[Cause] = ()
    ) -> Outcome:
        """Appends `chain` and tells the hubs, if it is what comes next; and of which spans it comes."""
        verdict, head = await self._publish(
            keys=Keys.of(project_id),
            args=(
                chain.epoch,
                chain.first,
                chain.last,
                chains.pack_table(chain),
                chains.pack_bodies(chain),
                EXPIRY_MS,
                STREAM_BYTES,
                LIVE_BYTES,
                *([" ".join(causes)] if causes else []),
            ),
        )
        return Outcome(verdict.decode(), int(head))

    async def seed(self, project_id: UUID, epoch: int, seq: int) -> int:
        """Sets the head to Postgres's, with an empty stream; answers the head that then stands."""
        return int(await self._seed(keys=Keys.of(project_id), args=(epoch, seq, EXPIRY_MS)))

    async def heads(self, project_ids: Sequence[UUID]) -> list[Head | None]:
        """What Redis holds as the head of each project; None where it knows none."""
        pipeline = self.client.pipeline(transaction=False)
        for project_id in project_ids:
            pipeline.hmget(Keys.of(project_id).head, "epoch", "seq")
        answers = await pipeline.execute(raise_on_error=False) if project_ids else []
        for answer in answers:
            if isinstance(answer, Exception) and not is_of_one_key(answer):
                raise answer
        return [_head_of(answer) for answer in answers]

    async def read(self, project_id: UUID, after: int, *, count: int = 64) -> list[Chain]:
        """The chains above `after`, as the stream has them: empty where it lacks the next number.

        The first chain may begin at or below `after`: the reader cuts it at its cursor.
        """
        entries = await self.client.xrange(
            Keys.of(project_id).stream, min=f"{after + 1}-0", count=count
        )
        found: list[Chain] = []
        expected = after + 1
        for _, fields in entries:
            chain = chains.unpack(fields[b"t"] + fields[b"f"])
            if chain.first > expected:
                break
            found.append(chain)
            expected = chain.last + 1
        return found

    async def read_back(self, project_id: UUID, first: int, limit_bytes: int) -> list[Chain]:
        """The chains that the stream has right before number `first`, newest first and without a hole,
        about `limit_bytes` of them."""
        found: list[Chain] = []
        size = 0
        expected = first - 1
        while size < limit_bytes and expected > 0:
            entries = await self.client.xrevrange(
                Keys.of(project_id).stream, max=f"{expected}-0", count=64
            )
            if not entries:
                break
            for _, fields in entries:
                chain = chains.unpack(fields[b"t"] + fields[b"f"])
                if chain.last != expected:
                    return found
                found.append(chain)
                size += chain.size
                expected = chain.first - 1
        return found

    async def forget(self, project_id: UUID) -> None:
        """Drops what Redis holds of a project whose history went back."""
        keys = Keys.of(project_id)
        await self.client.delete(keys.stream, keys.head)

    async def delete(self, project_id: UUID) -> None:
        """Drops what Redis holds of a deleted project and tells the hubs to end its streams."""
        await self.forget(project_id)
        await self.client.spublish(Keys.of(project_id).live, b"d")

    async def ping(self) -> None:
        """Raises one of `outages.REDIS` when Redis doesn't answer; of a cluster, when a primary doesn't."""
        if self.is_cluster:
            await self.client.ping(target_nodes=self.client.PRIMARIES)
        else:
            await self.client.ping()

    async def check(self) -> None:
        """Raises one of `outages.REDIS` when Redis doesn't answer or takes no writes: a replica, a cluster
        with uncovered slots, a server that can't persist. Users other than `api` and `hub` may only
        `ping`."""
        await self.ping()
        try:
            await self.client.expire(PROBE_KEY, 1)
        except MovedError as error:
            raise RedisError(
                "a server of a Redis Cluster: RUNCAST_REDIS_URL must begin with redis+cluster://"
            ) from error

    async def check_kind(self) -> None:
        """Raises `WrongServer` where the URL names another kind of server than it says, and one of
        `outages.REDIS` where none answers."""
        await diagnosis.check_kind(self.client, is_cluster=self.is_cluster)

    def diagnosis(self) -> Diagnosis:
        """What would hurt with this Redis."""
        return Diagnosis(self.client, is_cluster=self.is_cluster)

    async def close(self) -> None:
        """Closes all connections."""
        await self.client.aclose()
