"""One torture run: start everything, write and read under faults, heal, wait for quiet, judge."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from runcast_api.storage.compaction import Compactor
from runcast_server.db import LOG_ROLE, open_pool
from runcast_server.loops import Loop
from tests.torture import truth
from tests.torture.changing import ChangingReader
from tests.torture.checker import Account, Verdict, account, check
from tests.torture.cluster import TAIL_PROJECT, Cluster
from tests.torture.faults import Stage, takes_connections
from tests.torture.history import History, Wanted
from tests.torture.nemesis import Nemesis
from tests.torture.readers import SLOW_BUFFER_BYTES, Reader
from tests.torture.report import Outage, Report
from tests.torture.rooms import Rooms
from tests.torture.writers import MARK, FileWriter, Http, HttpWriter, RedisWriter, Writer

SUPERVISE_SECONDS = 0.5
MERGE_SECONDS = 0.3

SomeReader = TypeVar("SomeReader", bound=Reader)


@dataclass(frozen=True)
class Plan:
    """How hard."""

    seconds: float
    seed: int
    pause: tuple[float, float] = (0.4, 1.8)
    at_least: int = 0
    """How often every kind of fault must come."""
    at_most: int | None = None
    """When every kind came so often, it is enough."""
    rate: float = 1.0
    """Times the usual rate of writing, which is about 450 events per second."""
    readers: int = 24
    """Readers of all logs, beside those of other kinds."""
    newcomer_every: float = 4.0
    patience: float = 60.0
    """For so long after the last fault nothing may stand still before everything is stored and delivered."""
    kinds: Sequence[str] | None = None
    """Of faults; by default all that there is something for."""
    project: str = "torture"
    has_rooms: bool = True
    """Whether rooms of other projects are opened and closed all the time."""


@dataclass
class Run:
    """What lives during one run."""

    plan: Plan
    cluster: Cluster
    say: Callable[[str], None]
    chance: random.Random
    projects: dict[str, str] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    writers: list[Writer] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)
    newcomers: list[Reader] = field(default_factory=list)
    seen: dict[str, set[int]] = field(default_factory=dict)
    """Serials of each writer that some reader saw."""
    complaints: list[str] = field(default_factory=list)
    stage: Stage = field(init=False)
    rooms: Rooms = field(init=False)

    # ------------------------------------------------------------------ before

    async def prepare(self, http: Http) -> None:
        """Projects, runs, and who writes and reads them."""
        for slug in (self.plan.project, TAIL_PROJECT):
            with contextlib.suppress(RuntimeError):  # The tailer's project is there already.
                await http.send("POST", "/projects", {"slug": slug, "name": slug})
            self.projects[slug] = (await http.send("GET", f"/projects/{slug}"))["id"]
        for number in range(6):
            body = {"key": f"run-{number}", "status": "running"}
            made = await http.send(
                "POST",
                f"/projects/{self.plan.project}/runs",
                body,
                key=f"{self.plan.project}-{number}",
            )
            self.runs.append(made["id"])
        self.rooms = Rooms(http, random.Random(f"{self.plan.seed} rooms"), self._visitor)
        if self.plan.has_rooms:
            self.projects |= await self.rooms.prepare(self.plan.project)
        self._hire(http)
        self._invite()
        files = [writer for writer in self.writers if isinstance(writer, FileWriter)]
        self.stage = Stage(
            self.cluster,
            self.readers,
            files,
            random.Random(self.plan.seed + 1),
            long_outages=self.plan.seconds >= 300,
        )

    def _hire(self, http: Http) -> None:
        rate = self.plan.rate
        for number, run in enumerate(self.runs[:4]):
            self.writers.append(HttpWriter(f"http-{number}", 45 * rate, http=http, run_id=run))
        for number, run in enumerate(self.runs[2:]):
            self.writers.append(
                RedisWriter(
                    f"redis-{number}",
                    30 * rate,
                    url=self.cluster.redis_url,
                    run_id=run,
                    stored=lambda name: self.seen.get(name, set()),
                )
            )
        if self.cluster.tailers:
            for number in range(3):
                directory = self.cluster.runs_dir / f"file-run-{number}"
                self.writers.append(FileWriter(f"file-{number}", 50 * rate, directory=directory))

    def _invite(self) -> None:
        for number in range(self.plan.readers):
            self._reader(f"all-{number}", Wanted("all"))
        self.readers[0].watch = self._note_serial
        for number, run in enumerate(self.runs[:3]):
            self._reader(f"runs-{number}", Wanted(frozenset({run, self.runs[5]})))
            self._reader(f"tail-{number}", Wanted(frozenset({run})), log_tail="50")
            self._reader(f"run-{number}", Wanted(only_run=run))
        for number in range(2):
            self._reader(f"none-{number}", Wanted())
            self._reader(f"files-{number}", Wanted("all"), TAIL_PROJECT)
            slow = self._reader(f"slow-{number}", Wanted("all"))
            slow.receive_buffer, slow.nap = SLOW_BUFFER_BYTES, (0.3, 0.7)
        changing = self._make(
            "changing-0", Wanted(frozenset({self.runs[0]})), self.plan.project, {}, ChangingReader
        )
        changing.runs = self.runs[:4]
        self.readers.append(changing)
        skipping = self._reader("skip-0", Wanted("all"), on_lag="skip")
        skipping.receive_buffer, skipping.nap = SLOW_BUFFER_BYTES, (0.3, 6.0)

    def _visitor(self, name: str, project: str, parameters: dict[str, str]) -> Reader:
        return self._make(name, Wanted("all"), project, parameters, Reader)

    def _reader(self, name: str, wanted: Wanted, project: str = "", **parameters: str) -> Reader:
        reader = self._make(name, wanted, project or self.plan.project, parameters, Reader)
        self.readers.append(reader)
        return reader

    def _make(
        self,
        name: str,
        wanted: Wanted,
        project: str,
        parameters: dict[str, str],
        kind: type[SomeReader],
    ) -> SomeReader:
        project_id = self.projects[project]
        path = f"/projects/{project_id}/events"
        if wanted.only_run is not None:
            path = f"/runs/{wanted.only_run}/stream"
        elif wanted.logs:
            logs = "all" if wanted.logs == "all" else ",".join(sorted(wanted.logs))
            parameters["subscribe_logs"] = logs
        return kind(
            History(name, name.partition("-")[0], project_id, wanted),
            path,
            self.cluster.token,
            lambda: [hub.port for hub in self.cluster.hubs],
            random.Random(f"{self.plan.seed} {name}"),
            parameters,
        )

    def _note_serial(self, block: bytes) -> None:
        if match := MARK.search(block):
            self.seen.setdefault(match[1].decode(), set()).add(int(match[2]))

    # ------------------------------------------------------------------ during

    async def torture(self, nemesis: Nemesis) -> None:
        """Faults, with writers and readers at work; then everything is healed and stored."""
        stop, plan = asyncio.Event(), self.plan
        async with _background(
            self._supervise(),
            self._newcomers(),
            self._merge(),
            self.rooms.run(),
            *(reader.run() for reader in self.readers),
        ):
            for reader in self.readers:
                async with asyncio.timeout(30):
                    await reader.has_connected.wait()
            writing = asyncio.gather(*(writer.run(stop) for writer in self.writers))
            await nemesis.run(plan.seconds, plan.pause, plan.at_least, plan.at_most)
            stop.set()
            for reader in self.readers:
                reader.nap = None  # At last everyone listens.
            self.say("healed; waiting for quiet")
            await self._finished(writing)
            await self._quiet()

    async def _finished(self, writing: asyncio.Future[Any]) -> None:
        """Waits until the writers have seen everything stored, for as long as that makes progress: how long
        it takes in all depends on the machine."""
        stored = -1
        while not writing.done():
            await asyncio.wait([writing], timeout=self.plan.patience)
            left = [
                f"{writer.name} ({writer.attempted - len(writer.accepted)} left)"
                for writer in self.writers
                if writer.attempted > len(writer.accepted)
            ]
            before, stored = stored, sum(len(writer.accepted) for writer in self.writers)
            if not writing.done() and stored == before:
                writing.cancel()
                self.complaints.append(f"writers that never finished: {', '.join(left)}")
                return
        await writing

    async def _merge(self) -> None:
        """Merges segments under the writers and readers. In a server they have to be an hour old; here their
        age doesn't matter, nor whether a clock was set back."""
        pool = await open_pool(self.cluster.postgres.url, role=LOG_ROLE, size=2)
        compactor = Compactor(pool, age=timedelta(days=-9), idle=timedelta(days=-9))
        try:
            await Loop("merging", compactor.compact, MERGE_SECONDS).run()
        finally:
            pool.terminate()

    async def _supervise(self) -> None:
        """Starts again what ended by itself, as an operator's supervisor would, and says so."""
        while True:
            await asyncio.sleep(SUPERVISE_SECONDS)
            for each in self.cluster.services.values():
                if not each.is_alive and not self.stage.lock(each.name).locked():
                    code = each.child.returncode if each.child else None
                    self.complaints.append(f"{each.name} ended by itself with {code}")
                    each.start()

    async def _newcomers(self) -> None:
        """Every few seconds someone comes who wants the history from an earlier number."""
        number = 0
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(self.plan.newcomer_every)
                known = self.readers[0].position or 0
                number += 1
                newcomer = self._make(f"new-{number}", Wanted("all"), self.plan.project, {}, Reader)
                newcomer.position = self.chance.randrange(max(1, known))
                self.newcomers.append(newcomer)
                group.create_task(self._visit(newcomer, self.chance.uniform(2, 12)))

    async def _visit(self, newcomer: Reader, seconds: float) -> None:
        newcomer.history.ended_early = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await newcomer.run()

    async def _quiet(self) -> None:
        """Until what is written is stored, and every reader stands at the end."""
        began = time.monotonic()
        waiting: list[str] = ["everything"]
        while waiting:
            if time.monotonic() - began > self.plan.patience:
                self.complaints.append(f"not at the end in time: {', '.join(waiting[:10])}")
                return
            await asyncio.sleep(0.5)
            try:
                waiting = await self._waiting()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                waiting = [f"Postgres: {error}"]  # The last fault may have been a restart of it.
        self.say(f"quiet after {time.monotonic() - began:.1f} s")

    async def _waiting(self) -> list[str]:
        connection = await self.cluster.connect()
        try:
            rows = await connection.fetch("SELECT project_id::text, last_seq FROM project_counters")
            lines = await connection.fetchval(
                "SELECT coalesce(sum(last_line_number), 0) FROM runs WHERE project_id = $1",
                UUID(self.projects[TAIL_PROJECT]),
            )
        finally:
            await connection.close()
        heads = {row[0]: row[1] for row in rows}
        waiting = [
            f"{reader.history.name} at {reader.position} of {heads[reader.history.project]}"
            for reader in self.readers
            if (reader.position or 0) < heads[reader.history.project]
        ]
        written = sum(w.attempted for w in self.writers if isinstance(w, FileWriter))
        if lines < written:
            waiting.append(f"files: {lines} of {written} lines are stored")
        return waiting

    # ------------------------------------------------------------------ after

    async def judge(self, nemesis: Nemesis, seconds: float) -> Report:
        """Compares everything with what Postgres holds."""
        verdicts: list[Verdict] = []
        accounts: list[Account] = []
        stored = 0
        await takes_connections(
            self.stage
        )  # The last fault may have been one that it recovers from.
        everyone = [*self.readers, *self.newcomers, *self.rooms.visitors]
        for project in self.projects.values():
            connection = await self.cluster.connect()
            try:
                rows = await truth.load(connection, project)
            finally:
                await connection.close()
            stored += len(rows)
            held = truth.Truth(rows)
            found = truth.serials(rows, MARK)
            mine = [reader.history for reader in everyone if reader.history.project == project]
            verdicts += [check(history, held) for history in mine]
            accounts += [
                account(w.name, w.accepted, found[w.name], in_order=w.in_order)
                for w in self.writers
                if w.name in found
            ]
        return Report(
            self.plan.seed,
            seconds,
            verdicts,
            accounts,
            nemesis.injected,
            stored,
            self._outages(nemesis),
            self._complaints(nemesis, accounts),
        )

    def _outages(self, nemesis: Nemesis) -> tuple[Outage, Outage]:
        """The longest one of all, and the one that went on for longest after the faults that it met."""
        faults = nemesis.spans()
        seen = [
            Outage(reader.history.name, silence.seconds, silence.beyond(faults))
            for reader in self.readers
            if reader.nap is None
            for silence in reader.history.silences
        ] or [Outage("nobody", 0.0, 0.0)]
        longest = max(seen, key=lambda outage: outage.seconds)
        return longest, max(seen, key=lambda outage: outage.beyond_faults)

    def _complaints(self, nemesis: Nemesis, accounts: Iterable[Account]) -> list[str]:
        known = {each.writer for each in accounts}
        complaints = [*self.complaints, *self.rooms.complaints]
        complaints += [f"{w.name}: nothing is stored" for w in self.writers if w.name not in known]
        complaints += [f"{w.name}: {text}" for w in self.writers for text in w.complaints[:3]]
        odd = {
            (refusal.status, str(refusal))
            for reader in (*self.readers, *self.newcomers, *self.rooms.visitors)
            for refusal in reader.refusals
            if refusal.status not in (0, 503)
        }
        complaints += [f"a stream was refused: {text}" for _, text in sorted(odd)[:5]]
        seldom = [kind for kind in nemesis.kinds if nemesis.counts()[kind] < self.plan.at_least]
        complaints += [f"{kind}: only {nemesis.counts()[kind]} times" for kind in seldom]
        return complaints


@contextlib.asynccontextmanager
async def _background(*works: Awaitable[None]) -> AsyncIterator[None]:
    """Works beside the block, cancelled at its end; one that fails fails the block."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        results: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result


async def torture(plan: Plan, cluster: Cluster, say: Callable[[str], None]) -> Report:
    """A whole run on a cluster that was started."""
    chance = random.Random(plan.seed)
    http = Http(cluster.token, lambda: [api.url for api in cluster.apis], chance)
    run = Run(plan, cluster, say, chance)
    began = time.monotonic()
    try:
        await run.prepare(http)
        nemesis = Nemesis(run.stage, random.Random(plan.seed + 2), say)
        nemesis.kinds = nemesis.possible() if plan.kinds is None else plan.kinds
        await run.torture(nemesis)
    finally:
        await http.close()
    return await run.judge(nemesis, time.monotonic() - began)
