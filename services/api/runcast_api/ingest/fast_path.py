"""Batches of nothing but new lines, which is nearly all there is at line rate: one statement each.

The leader remembers where its last commit left the sources and runs (`Tip`). So the next batch can be made
ready while the last one commits: compared with the cursors, rendered, framed with the numbers that it will
have if nobody else writes in between. The statement compares and swaps all of that (`take_lines`, in
db/migrations). What turns out otherwise is forgotten, and the batch goes the long way (`applying`), which
asks Postgres.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import orjson

from runcast_api.ingest import batch_items
from runcast_api.ingest.batch_state import Run, Scope
from runcast_api.ingest.messages import Message
from runcast_api.logs import sources as log_sources
from runcast_api.logs.sources import Source, SourceKey
from runcast_server.eventlog import frames
from runcast_server.eventlog.frames import Block, Lines

REMEMBERED = 10_000
"""Sources, and runs, that a tip remembers."""

TAKE = """
SELECT history, base FROM take_lines($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
                                     $17, $18, $19, $20, $21)
"""


class Tip:
    """What this process's last commit left, or its next one will leave. Right as long as nobody else adds
    lines to the same runs; `take_lines` sees whether anybody did."""

    def __init__(self) -> None:
        self.sources: dict[SourceKey, Source] = {}
        self.runs: dict[UUID, Run] = {}
        self.age = 0
        """Counts how often all was forgotten: what was made ready before is of no use after."""
        self._heads: dict[UUID, tuple[int, int]] = {}
        self._ready: dict[UUID, int] = {}

    def learn(self, scope: Scope) -> None:
        """Takes what a commit of the long way left."""
        if len(self.sources) > REMEMBERED or len(self.runs) > REMEMBERED:
            self.forget()
        self.sources |= scope.sources
        self.runs |= scope.runs

    def forget(self) -> None:
        """Somebody else was here, or a commit may have failed."""
        self.age += 1
        for known in (self.sources, self.runs, self._heads, self._ready):
            known.clear()

    def drop(self, run_ids: Iterable[UUID | None]) -> None:
        """These runs are about to be changed on the long way."""
        for run_id in run_ids:
            if run_id is not None:
                self.runs.pop(run_id, None)

    def first(self, project_id: UUID) -> tuple[int, int] | None:
        """The epoch, and the first number, of what is made ready next; None where nobody knows."""
        if (head := self._heads.get(project_id)) is None:
            return None
        epoch, last = head
        return epoch, last + self._ready.get(project_id, 0) + 1

    def expect(self, project_id: UUID, number: int) -> None:
        """So many events are ready to be committed."""
        self._ready[project_id] = self._ready.get(project_id, 0) + number

    def committed(self, straight: Straight, epoch: int, base: int) -> None:
        """What was ready is committed, with the numbers after `base`."""
        self._heads[straight.project_id] = (epoch, base + straight.number)
        if straight.age == self.age:
            self.expect(straight.project_id, -straight.number)


@dataclass(frozen=True, slots=True)
class Straight:
    """A batch of lines, ready to be committed. The sources and runs are given as (before, after)."""

    age: int
    project_id: UUID
    sources: Sequence[tuple[Source, Source]]
    runs: Sequence[tuple[Run, Run]]
    parts: Sequence[Lines]
    number: int
    block: Block | None
    """What is published if it gets the numbers that it should."""

    def arguments(self) -> tuple[Any, ...]:
        """The parameters of `TAKE` after the cursor's."""
        before = [source for source, _ in self.sources]
        after = [source for _, source in self.sources]
        return (
            [source.key.run_id for source in after],
            [source.key.source for source in after],
            [source.generation for source in after],
            [source.next_line for source in before],
            [source.next_line for source in after],
            [source.next_offset for source in before],
            [source.next_offset for source in after],
            [
                None if source.file is None else orjson.dumps(source.file).decode()
                for source in after
            ],
            [run.id for _, run in self.runs],
            [run.last_line_number for run, _ in self.runs],
            [run.last_line_number for _, run in self.runs],
            self.project_id,
            self.number,
            *self._columns(),
        )

    def _columns(self) -> tuple[list[Any], ...]:
        places = [0]
        for part in self.parts:
            places.append(places[-1] + len(part.datas))
        return (
            [part.run_id for part in self.parts],
            [part.first - 1 for part in self.parts],
            places[:-1],
            ["\n".join(part.datas) for part in self.parts],
        )

    def numbered(self, epoch: int, first: int) -> Block:
        """The batch's block, now that its numbers are known."""
        block = self.block
        if block is not None and (block.epoch, block.first) == (epoch, first):
            return block
        return frames.build_texts(epoch, first, self.parts)


class Unfit(Exception):
    """A batch that has to go the long way."""


def prepare(messages: Iterable[Message | None], tip: Tip) -> Straight | None:
    """Makes a batch ready on top of what the tip knows, and moves the tip past it.

    None where it holds anything but new lines of open logs that are known.
    """
    ready = _Preparing(tip)
    try:
        for message in messages:
            ready.take(message)
    except Unfit:
        return None
    return ready.done()


class _Preparing:
    """The messages of a batch, one after another, against copies of what the tip knows."""

    def __init__(self, tip: Tip) -> None:
        self._tip = tip
        self._sources: dict[SourceKey, Source] = {}
        self._runs: dict[UUID, Run] = {}
        self._parts: list[Lines] = []

    def take(self, message: Message | None) -> None:
        lines = message.lines if message is not None else None
        if message is None or lines is None or message.run_id is None:
            raise Unfit
        if (
            message.id is not None
            or message.project is not None
            or batch_items.is_feed(lines.source)
        ):
            raise Unfit
        source = self._source(SourceKey(message.run_id, lines.source))
        run = self._run(message.run_id)
        batch = lines.batch()
        if batch.closed_reason or batch.bytes_after_end or batch.generation != source.generation:
            raise Unfit
        accepted = log_sources.accept(source, batch)
        if accepted is None:
            return
        base = run.take_line_numbers(len(batch.texts) - accepted.start)
        datas = log_sources.datas_of(source.key, batch, accepted, base)
        self._parts.append(Lines(run.id, base + 1, datas))

    def _source(self, key: SourceKey) -> Source:
        source = self._sources.get(key)
        if source is None:
            known = self._tip.sources.get(key)
            if known is None or known.closed_reason is not None or known.bytes_after_end:
                raise Unfit
            source = self._sources[key] = replace(known, has_changed=False)
        return source

    def _run(self, id: UUID) -> Run:
        run = self._runs.get(id)
        if run is None:
            known = self._tip.runs.get(id)
            if known is None:
                raise Unfit
            run = self._runs[id] = replace(known)
        return run

    def done(self) -> Straight | None:
        projects = {run.project_id for run in self._runs.values()}
        if len(projects) != 1 or not self._parts:
            return None
        tip, [project_id] = self._tip, projects
        first = tip.first(project_id)
        straight = Straight(
            tip.age,
            project_id,
            [(tip.sources[s.key], s) for s in self._sources.values() if s.has_changed],
            [(tip.runs[id], self._runs[id]) for id in {part.run_id for part in self._parts}],
            self._parts,
            sum(len(part.datas) for part in self._parts),
            None if first is None else frames.build_texts(*first, self._parts),
        )
        tip.sources |= self._sources
        tip.runs |= self._runs
        tip.expect(project_id, straight.number)
        return straight
