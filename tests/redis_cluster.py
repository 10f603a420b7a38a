"""A Redis Cluster of real processes: three primaries, each with a replica, and the users of
`deploy/redis-users.acl`."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry

from runcast_server.embedded import valkey
from tests.torture.programs import free_port, quoted, wait

SLOTS = 16384
USERS = Path(__file__).parents[1] / "deploy" / "redis-users.acl"
NODE_TIMEOUT_MS = 1_500


def users(admin_password: str) -> str:
    """The shipped users, their names as passwords, and an administrator whom the servers use among
    themselves."""
    lines = USERS.read_text().splitlines()
    named = [line.replace(f"#{{{line.split()[1]}}}", f">{line.split()[1]}") for line in lines]
    admin = f"user admin on >{admin_password} ~* &* +@all"
    return "\n".join([*named, admin]) + "\n"


@dataclass
class Node:
    """One server of the cluster."""

    directory: Path
    password: str
    port: int = field(default_factory=free_port)
    bus_port: int = field(default_factory=free_port)
    child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, with what it remembers of its cluster."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "users.acl").write_text(users(self.password))
        chosen = {
            **valkey.SETTINGS,
            "appendonly": "no",
            "dir": str(self.directory),
            "port": str(self.port),
            "aclfile": str(self.directory / "users.acl"),
            "masteruser": "admin",
            "masterauth": self.password,
            "repl-diskless-sync-delay": "0",
            "cluster-enabled": "yes",
            "cluster-port": str(self.bus_port),
            "cluster-node-timeout": str(NODE_TIMEOUT_MS),
            "cluster-config-file": "nodes.conf",
            "cluster-replica-validity-factor": "0",
        }
        configuration = self.directory / "valkey.conf"
        configuration.write_text(
            "".join(f"{name} {quoted(value)}\n" for name, value in chosen.items())
        )
        with (self.directory / "log").open("ab") as output:
            self.child = subprocess.Popen(
                [valkey.binary(), configuration],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        wait(self.answers, f"Valkey on port {self.port} answers")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def client(self) -> Iterator[Any]:
        with redis.Redis(
            host="127.0.0.1",
            port=self.port,
            username="admin",
            password=self.password,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=5,
            decode_responses=True,
        ) as client:
            yield client

    def ask(self, *command: Any) -> Any:
        with self.client() as client:
            return client.execute_command(*command)

    def answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except redis.RedisError:
            if not self.is_alive:
                raise RuntimeError((self.directory / "log").read_text()[-2000:]) from None
            return False

    @property
    def id(self) -> str:
        return str(self.ask("CLUSTER", "MYID"))

    @property
    def is_primary(self) -> bool:
        return bool(self.ask("ROLE")[0] == "master")

    def kill(self) -> None:
        assert self.child is not None
        self.child.kill()
        self.child.wait()

    def pause(self) -> None:
        assert self.child is not None
        self.child.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.child is not None
        self.child.send_signal(signal.SIGCONT)

    @property
    def is_alive(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def end(self) -> None:
        if self.is_alive and self.child is not None:
            os.kill(self.child.pid, signal.SIGCONT)
            self.kill()


class RedisCluster:
    """Three primaries and three replicas on loopback, below one directory."""

    def __init__(self, root: Path) -> None:
        password = secrets.token_urlsafe(16)
        self.nodes = [Node(root / f"redis-{number}", password) for number in range(6)]
        self._password = password

    def url(self, user: str = "admin", kind: str = "redis+cluster") -> str:
        """The cluster as one of the users reaches it, by two of its servers. The first may be down."""
        password = self._password if user == "admin" else user
        alive = [node for node in self.nodes if node.is_alive]
        return f"{kind}://{user}:{password}@{alive[0].address},{alive[1].address}"

    def start(self) -> None:
        """Returns when every server says that the cluster is whole."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(Node.start, self.nodes))
        primaries, replicas = self.nodes[:3], self.nodes[3:]
        bounds = [SLOTS * place // 3 for place in range(4)]
        for place, node in enumerate(primaries):
            node.ask("CLUSTER", "ADDSLOTSRANGE", bounds[place], bounds[place + 1] - 1)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", place + 1)
        for node in self.nodes[1:]:
            first = self.nodes[0]
            node.ask("CLUSTER", "MEET", "127.0.0.1", first.port, first.bus_port)
        wait(lambda: all(self._knows_all(node) for node in self.nodes), "the servers meet")
        for primary, replica in zip(primaries, replicas, strict=True):
            replica.ask("CLUSTER", "REPLICATE", primary.id)
        self.settle()

    def _knows_all(self, node: Node) -> bool:
        return str(node.ask("CLUSTER", "INFO")).count("cluster_known_nodes:6") == 1

    def settle(self) -> None:
        """Waits until all that live agree on the slots and every primary has a replica in step. Starts what
        was killed."""
        for node in self.nodes:
            if not node.is_alive:
                node.start()
        wait(lambda: all(self._is_settled(node) for node in self.nodes), "the cluster is whole")

    def _is_settled(self, node: Node) -> bool:
        try:
            if "cluster_state:ok" not in node.ask("CLUSTER", "INFO"):
                return False
            kind, *about = node.ask("ROLE")
            in_step = about[2] == "connected" if kind == "slave" else len(about[1]) == 1
            slots = node.ask("CLUSTER", "SLOTS")
        except redis.RedisError:
            return False
        return in_step and all(len(each) == 4 for each in slots)

    @property
    def primaries(self) -> list[Node]:
        return [node for node in self.nodes if node.is_alive and node.is_primary]

    def holder(self, key: str) -> Node:
        """The primary that holds a key."""
        slot = key_slot(key.encode())
        alive = next(node for node in self.nodes if node.is_alive)
        for first, last, (_, port, *_), *_ in alive.ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise LookupError(f"no server holds {key}")

    def replica_of(self, primary: Node) -> Node:
        ports = {int(each[1]) for each in primary.ask("ROLE")[2]}
        return next(node for node in self.nodes if node.port in ports)

    def move_slot(self, key: str) -> tuple[Node, Node]:
        """Moves the slot of a key, with its keys, to the next primary; answers from where and to where."""
        slot, old = key_slot(key.encode()), self.holder(key)
        new = next(node for node in self.primaries if node is not old)
        new.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", old.id)
        old.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", new.id)
        while keys := old.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
            old.ask(
                *("MIGRATE", "127.0.0.1", new.port, "", 0, 5000),
                *("AUTH2", "admin", self._password, "KEYS", *keys),
            )
        new.ask("CLUSTER", "SETSLOT", slot, "NODE", new.id)
        old.ask("CLUSTER", "SETSLOT", slot, "NODE", new.id)
        return old, new

    def fail_over(self, primary: Node) -> Node:
        """A planned failover; answers the new primary. The old one goes on as its replica."""
        replica = self.replica_of(primary)
        replica.ask("CLUSTER", "FAILOVER")
        wait(lambda: replica.is_primary and not primary.is_primary, "the replica takes over")
        return replica

    def empty(self) -> None:
        """Drops all keys."""
        for node in self.primaries:
            node.ask("FLUSHALL")

    def denied(self) -> list[tuple[str, str]]:
        """What the users were refused since the last time."""
        found = []
        for node in self.nodes:
            if node.is_alive:
                found += [(each["username"], each["object"]) for each in _log(node)]
        return found

    def end(self) -> None:
        for node in self.nodes:
            node.end()


def _log(node: Node) -> list[dict[str, Any]]:
    with node.client() as client:
        entries: list[dict[str, Any]] = client.acl_log()
        client.acl_log_reset()
    return entries


@contextlib.contextmanager
def running(root: Path) -> Iterator[RedisCluster]:
    """A cluster in `root`; ended whatever happens."""
    cluster = RedisCluster(root)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.end()
