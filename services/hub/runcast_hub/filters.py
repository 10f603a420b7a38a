"""Which events a subscriber wants, and their bytes within a block.

Log lines are asked for by run; everything else of a project goes to everyone. A run's own stream wants
what concerns that run and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from runcast_server.errors import Invalid
from runcast_server.eventlog import guests
from runcast_server.eventlog.frames import FRAME_END, Block, Section

MAX_RUNS = 200
_HIDDEN = tuple(f"\nevent: {prefix}".encode() for prefix in guests.HIDDEN_FROM_GUESTS)


@dataclass(frozen=True, slots=True)
class Filter:
    """What one subscriber wants. Equal filters share their joined bytes, so they are hashable."""

    all_logs: bool = False
    runs: frozenset[bytes] = frozenset()
    only_run: bytes | None = None
    is_guest: bool = False
    """The stream of a share link, which shows neither questions nor messages."""

    @property
    def takes_everything(self) -> bool:
        """Whether every event of the project is wanted."""
        return self.all_logs and self.only_run is None and not self.is_guest

    def wants(self, section: Section) -> bool:
        """Whether the frames of this section are wanted."""
        if self.only_run is not None:
            return section.run == self.only_run
        return not section.is_log or self.all_logs or section.run in self.runs

    @property
    def run_ids(self) -> list[UUID]:
        """The runs whose log lines are wanted by name."""
        named = self.runs if self.only_run is None else {self.only_run}
        return [UUID(bytes=run) for run in sorted(named)]

    def as_parameter(self) -> list[str] | str | None:
        """The filter as `subscribe_logs` would say it."""
        if self.all_logs:
            return "all"
        return [str(run_id) for run_id in self.run_ids] or None


def of_run(run_id: UUID) -> Filter:
    """The filter of a run's own stream."""
    return Filter(only_run=run_id.bytes)


def parse(subscribe_logs: str | None, *, field: str = "subscribe_logs") -> Filter:
    """The filter that a query asks for. Raises `Invalid` naming the field."""
    if subscribe_logs is None or not subscribe_logs.strip():
        return Filter()
    if subscribe_logs.strip() == "all":
        return Filter(all_logs=True)
    return of_runs(subscribe_logs.split(","), field=field)


def of_runs(run_ids: Sequence[str], *, field: str = "subscribe_logs") -> Filter:
    """The filter that names these runs. Raises `Invalid` for too many or one that isn't an id."""
    if len(run_ids) > MAX_RUNS:
        raise Invalid.of(field, f"at most {MAX_RUNS} run ids, or all; got {len(run_ids)}")
    return Filter(
        runs=frozenset(_run_bytes(text.strip(), field) for text in run_ids if text.strip())
    )


def _run_bytes(text: str, field: str) -> bytes:
    try:
        return UUID(text).bytes
    except ValueError:
        raise Invalid.of(field, f"not a run id: {text[:64]!r}") from None


def for_guests(sent: bytes) -> bytes:
    """The frames without what holders of share links don't see."""
    sent = guests.reduced(sent)
    if not _is_hidden(sent):
        return sent
    kept = [frame for frame in sent.split(FRAME_END) if frame and not _is_hidden(frame)]
    return b"".join([frame + FRAME_END for frame in kept])


def _is_hidden(frame: bytes) -> bool:
    return any(beginning in frame for beginning in _HIDDEN)


class Fresh:
    """The blocks of one tick, indexed by run: a filter costs its output, not filters times frames."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = blocks
        self.last = blocks[-1].last
        self._pieces: list[bytes] = []
        self._shared: list[int] = []
        self._logs: dict[bytes, list[int]] = {}
        self._events: dict[bytes, list[int]] = {}
        for block in blocks:
            self._index(block)

    def _index(self, block: Block) -> None:
        offset = 0
        for section in block.sections:
            end = offset + section.size
            position = len(self._pieces)
            whole = len(block.sections) == 1
            self._pieces.append(block.frames if whole else block.frames[offset:end])
            if section.is_log:
                self._logs.setdefault(section.run, []).append(position)
            else:
                self._shared.append(position)
                self._events.setdefault(section.run, []).append(position)
            offset = end

    @property
    def is_only_logs(self) -> bool:
        """Whether a subscriber without log filter gets nothing of this tick."""
        return not self._shared

    @property
    def log_runs(self) -> Iterable[bytes]:
        """The runs that have log lines in this tick."""
        return self._logs.keys()

    @property
    def event_runs(self) -> Iterable[bytes]:
        """The runs that have other events in this tick."""
        return self._events.keys()

    def select(self, wanted: Filter) -> bytes:
        """The frames that `wanted` asks for, in order."""
        if wanted.is_guest:
            return for_guests(self.select(replace(wanted, is_guest=False)))
        if wanted.takes_everything:
            if len(self.blocks) == 1:
                return bytes(self.blocks[0].frames)
            return b"".join([block.frames for block in self.blocks])
        positions: list[int]
        if wanted.only_run is not None:
            run = wanted.only_run
            positions = self._logs.get(run, []) + self._events.get(run, [])
        else:
            positions = list(self._shared)
            for run in self._logs.keys() & wanted.runs:
                positions += self._logs[run]
        if len(positions) == 1:
            return self._pieces[positions[0]]
        positions.sort()
        return b"".join([self._pieces[position] for position in positions])
