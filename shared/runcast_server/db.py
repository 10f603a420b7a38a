"""Connections to Postgres: one pool for requests, one for the event log, one for accounts.

Each acts as one of the service roles, so none can touch what its role was not given (`db_sessions` says how).
Each may log in by a URL of its own, whose login can't become the other roles: what lists and searches then
reaches no secret, whatever SQL it runs. Every wait has a deadline: for a free connection, for a lock, for an
answer, and for a client of ours that was stopped while it held a transaction open.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar
from uuid import UUID

import asyncpg
import orjson

from runcast_server import db_sessions, metrics, outages, postgres_hosts
from runcast_server.errors import Unavailable
from runcast_server.fair_turns import FairTurns
from runcast_server.replica import Lacking, Replica, Standing, Work

Connection: TypeAlias = Any
"""An asyncpg connection (asyncpg ships no types)."""
Pool: TypeAlias = Any
"""An asyncpg pool."""

T = TypeVar("T")

REQUEST_ROLE = "runcast_request"
LOG_ROLE = "runcast_log"
ACCOUNTS_ROLE = "runcast_accounts"

REQUEST_CONNECTIONS = 10
ACQUIRE_SECONDS = 5.0
COMMAND_SECONDS = 30.0
CONNECT_SECONDS = 5.0


class Actor(Protocol):
    """Whom row-level security asks about: a person, or a key or link that is bound to one project.

    `role_name` is what a bound one is in its project; `run_id` the one run that a link shows.
    """

    @property
    def name(self) -> str: ...
    @property
    def user_id(self) -> UUID | None: ...
    @property
    def project_id(self) -> UUID | None: ...
    @property
    def run_id(self) -> UUID | None: ...
    @property
    def role_name(self) -> str: ...
    @property
    def is_admin(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Database:
    """The pools of a process: `requests` reads as one caller, `log` is the event log's, and `accounts` alone
    checks passwords and makes tokens.

    Callers take turns at the connections of `requests`: one who asks for much waits behind their own
    requests, and others don't wait behind them."""

    requests: Pool
    log: Pool
    accounts: Pool
    request_turns: FairTurns = field(default_factory=lambda: FairTurns(REQUEST_CONNECTIONS))
    replica: Replica | None = None

    @contextlib.asynccontextmanager
    async def acting(self, actor: Actor) -> AsyncIterator[Connection]:
        """A read-only transaction in which row-level security sees this caller.

        All its statements read one snapshot (repeatable read), so the head and the rows that an answer
        shows belong together. Who acts is local to the transaction: a pooled connection carries nothing
        over.
        """
        async with (
            self._turn(actor),
            acquire(self.requests) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await act_as(connection, actor)
            yield connection

    @contextlib.asynccontextmanager
    async def _turn(self, actor: Actor) -> AsyncIterator[None]:
        turn = self.request_turns.of(actor.name, ACQUIRE_SECONDS)
        try:
            await turn.__aenter__()
        except TimeoutError as error:
            metrics.POOL_TIMEOUTS.inc()
            raise Unavailable("no database connection became free in time") from error
        try:
            yield
        finally:
            await turn.__aexit__(None, None, None)

    async def reading(self, actor: Actor, at: Standing, work: Work[T]) -> tuple[T, int]:
        """What `work` reads as this caller in one snapshot, and the project's newest number in it: on the
        standby where there is one that has come as far as `at`, else on the primary. `work` may be called
        twice."""
        if self.replica is not None:
            try:
                async with self._turn(actor):
                    return await self.replica.read(
                        self.replica.requests, lambda it: act_as(it, actor), at, work
                    )
            except Lacking:
                pass
        # Not `self.acting`, which may take a turn that the caller of this holds already.
        async with Database.acting(self, actor) as connection:
            row = await connection.fetchrow(
                "SELECT last_seq FROM project_counters WHERE project_id = $1", at.project_id
            )
            return await work(connection), row["last_seq"] if row else at.head

    async def log_reading(self, at: Standing, work: Work[T]) -> T:
        """As `reading`, for the event log, which reads for all."""
        if self.replica is not None:
            try:
                return (await self.replica.read(self.replica.log, _nobody, at, work))[0]
            except Lacking:
                pass
        async with acquire(self.log) as connection:
            return await work(connection)

    @contextlib.asynccontextmanager
    async def changing(self, actor: Actor) -> AsyncIterator[Connection]:
        """A transaction in which this caller changes what needs no events: people, keys, members, projects.

        Its role is under the same row-level security as that of `acting`.
        """
        async with acquire(self.accounts) as connection, connection.transaction():
            await act_as(connection, actor)
            yield connection

    @property
    def pools(self) -> dict[str, Pool]:
        """The pools, by the names that metrics give them."""
        return {"requests": self.requests, "log": self.log, "accounts": self.accounts}

    async def close(self) -> None:
        """Closes the pools; connections still in use after 5 s are cut."""
        if self.replica is not None:
            await self.replica.close()
        for pool in (self.requests, self.log, self.accounts):
            try:
                async with asyncio.timeout(5.0):
                    await pool.close()
            except TimeoutError:
                pool.terminate()


async def _nobody(_: Connection) -> None:
    """The event log acts for no caller."""


async def act_as(connection: Connection, actor: Actor) -> None:
    """Names the caller to row-level security for the rest of the transaction."""
    await connection.execute(
        """SELECT set_config('runcast.principal', $1, true), set_config('runcast.user_id', $2, true),
                  set_config('runcast.project_id', $3, true), set_config('runcast.run_id', $4, true),
                  set_config('runcast.role', $5, true), set_config('runcast.is_admin', $6, true)""",
        actor.name,
        str(actor.user_id or ""),
        str(actor.project_id or ""),
        str(actor.run_id or ""),
        actor.role_name,
        "on" if actor.is_admin else "off",
    )


@contextlib.asynccontextmanager
async def acquire(pool: Pool) -> AsyncIterator[Connection]:
    """A connection of the pool. Raises `Unavailable` when none is free in time or Postgres is away.

    A server that became read-only keeps its connections: they are all replaced, so that the pool finds the
    new primary behind the same name.
    """
    try:
        connection = await pool.acquire(timeout=ACQUIRE_SECONDS)
    except TimeoutError as error:
        metrics.POOL_TIMEOUTS.inc()
        raise Unavailable("no database connection became free in time") from error
    except outages.POSTGRES_SAYS as error:
        raise Unavailable("the database can't be reached") from error
    try:
        yield connection
    except asyncpg.ReadOnlySQLTransactionError:
        await pool.expire_connections()
        raise
    finally:
        await pool.release(connection)


@dataclass(frozen=True, slots=True)
class Urls:
    """By which URL each role's connections log in; a role that has none of its own uses `log`'s. `read` is a
    standby's: where it names no login, each role has its own one there too."""

    log: str
    requests: str | None = None
    accounts: str | None = None
    read: str | None = None


async def open_database(
    urls: Urls | str,
    *,
    requests: int = REQUEST_CONNECTIONS,
    log: int = 10,
    accounts: int = 4,
) -> Database:
    """Opens the pools, with at most this many connections each."""
    if isinstance(urls, str):
        urls = Urls(urls)
    return Database(
        await open_pool(urls.requests or urls.log, role=REQUEST_ROLE, size=requests),
        await open_pool(urls.log, role=LOG_ROLE, size=log),
        await open_pool(urls.accounts or urls.log, role=ACCOUNTS_ROLE, size=accounts),
        FairTurns(requests),
        await _open_replica(urls, requests, log),
    )


async def _open_replica(urls: Urls, requests: int, log: int) -> Replica | None:
    if urls.read is None:
        return None
    as_requests = postgres_hosts.with_login(urls.read, urls.requests or urls.log)
    as_log = postgres_hosts.with_login(urls.read, urls.log)
    return Replica(
        await open_pool(as_requests, role=REQUEST_ROLE, size=requests),
        await open_pool(as_log, role=LOG_ROLE, size=log),
    )


def connections_of_process(size: int) -> int:
    """Connections that a process whose pools have `size` takes at most, with the one that listens."""
    return 2 * size + accounts_size(size) + 1


def accounts_size(size: int) -> int:
    """Connections for accounts where the other pools have `size`."""
    return max(2, size // 2)


async def is_pooled(connection: Connection) -> bool:
    """Whether a pooler stands between us and Postgres: the process that answers is then another one than
    the handshake named."""
    process: int = await connection.fetchval("SELECT pg_backend_pid()")
    return process != int(connection.get_server_pid())


async def open_pool(url: str, *, role: str, size: int) -> Pool:
    """A pool whose connections act as `role`; the first one is made when it is needed, so a Postgres
    that is away at this moment stops no one from starting."""

    async def connect(*_: object, **options: Any) -> Connection:
        return await postgres_hosts.connect(url, seconds=CONNECT_SECONDS, **options)

    async def prepare(connection: Connection) -> None:
        await db_sessions.become(connection, role)
        for name in ("json", "jsonb"):
            await connection.set_type_codec(
                name, schema="pg_catalog", encoder=_encode_json, decoder=orjson.loads
            )

    pool = await asyncpg.create_pool(
        min_size=0,
        max_size=size,
        command_timeout=COMMAND_SECONDS,
        max_inactive_connection_lifetime=300.0,
        connect=connect,
        init=prepare,
        reset=_keep,
        server_settings={"application_name": role},  # poolers pass this one on
    )
    assert pool is not None
    return pool


async def _keep(connection: Connection) -> None:
    """Nothing to reset: we set nothing for longer than a transaction, and a reset costs a round trip."""


def _encode_json(value: Any) -> str:
    return orjson.dumps(value).decode()
