"""Which server holds which key: of a cluster as its servers tell it, else one server for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ConnectionError

from runcast._support.redis_url import Host
from runcast_server import outages

ALONE: Host = ("", 0)
"""Stands for the server of a URL that names no cluster."""

MOST_TAGS = 20 * REDIS_CLUSTER_HASH_SLOTS


@dataclass(frozen=True, slots=True)
class Range:
    """Slots from `first` to `last`, held by `owner`."""

    first: int
    last: int
    owner: Host


@dataclass(frozen=True, slots=True)
class Topology:
    """The primaries and their slots, at one moment."""

    ranges: tuple[Range, ...]

    @classmethod
    def of_one_server(cls) -> Topology:
        return cls((Range(0, REDIS_CLUSTER_HASH_SLOTS - 1, ALONE),))

    @property
    def servers(self) -> frozenset[Host]:
        """The primaries that hold any slot."""
        return frozenset(each.owner for each in self.ranges)

    def owner(self, key: str) -> Host | None:
        """The primary that holds a key or channel; None while no server does."""
        slot = key_slot(key.encode())
        for each in self.ranges:
            if each.first <= slot <= each.last:
                return each.owner
        return None

    def tag_at(self, server: Host, prefix: str) -> str:
        """A hash tag that begins with `prefix` and lies at this server. Raises redis-py's `ConnectionError`
        where it holds no slot (or hardly any)."""
        for number in range(MOST_TAGS):
            tag = f"{prefix}:{number}"
            if self.owner(f"{{{tag}}}") == server:
                return tag
        raise ConnectionError(f"{server[0]}:{server[1]} holds no slot any more")


async def of_cluster(client: Any) -> Topology:
    """What the cluster says: its primaries are asked one after another until one answers, then its replicas.
    Raises one of `outages.REDIS` where none does."""
    await client.initialize()
    reason: BaseException | None = None
    for server in [*client.get_primaries(), *client.get_replicas()]:
        try:
            return parsed(await server.execute_command("CLUSTER SLOTS"), server.host)
        except outages.REDIS as error:
            reason = error
    raise ConnectionError(f"no server of the cluster answers: {reason}")


def parsed(answer: Sequence[Any], asked: str) -> Topology:
    """An answer to CLUSTER SLOTS. A server that doesn't know its own address leaves it empty: it's
    `asked`."""
    found = []
    for first, last, (host, port, *_), *_replicas in answer:
        name = host.decode() if isinstance(host, bytes) else host
        found.append(Range(int(first), int(last), (name or asked, int(port))))
    return Topology(tuple(sorted(found, key=lambda each: each.first)))
