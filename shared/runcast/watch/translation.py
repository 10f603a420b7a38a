"""One session's way from its file to its run: records in order, each once, whatever happened in between.

What was already said is known from the run's spool (`run_output`). When a session goes on after a restart,
its records are read again from the beginning, silently, up to that place: so usage, open calls and what was
seen are what they were. When the file was replaced, it is read from its beginning as another generation, and
an entry that the spool holds already isn't said again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from runcast._support import times
from runcast._support.ids import uuid7
from runcast.agents import entries, records, texts
from runcast.agents.said import About, ChildOver, Ended, Entry, Said, State, Used, with_moment
from runcast.errors import InvalidFile
from runcast.watch.content import Policy
from runcast.watch.doing import Doing
from runcast.watch.line_file import HEAD_BYTES, Identity, Line
from runcast.watch.run_output import (
    Found,
    Place,
    RunOutput,
    digest,
    entry_line,
    state_line,
    with_id,
)
from runcast.watch.sessions import Adapter, Session

Json = dict[str, Any]

QUIET_SECONDS = 2.0
"""Progress and usage are told at most this often."""
_UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, RecursionError)


class Translation:
    """A session that is read, and the run that it becomes.

    `begin` is the offset at which the run begins: not 0 for a session that went on after its run had ended.
    Methods raise `OSError` for a file that can't be read or a disk that takes nothing; nothing is lost then,
    and the next call goes on.
    """

    def __init__(
        self,
        session: Session,
        adapter: Adapter,
        output: RunOutput,
        policy: Policy,
        *,
        project: str,
        facts: Mapping[str, Any],
        clock: Callable[[], float],
        begin: int = 0,
        earlier: Sequence[RunOutput] = (),
        parent_key: str | None = None,
    ) -> None:
        self.session = session
        self.output = output
        self.doing = Doing()
        self.over: list[ChildOver] = []
        """Sub-agents that have ended; who takes them empties the list."""
        self.ended: Ended | None = None
        """What the record itself says of the session's end, unless it went on."""
        self.unreadable = 0
        self.written = 0
        """Lines that were given to the spool."""
        self.generation = 1
        self.identity = Identity(0, "0-")
        self._adapter = adapter
        self._policy = policy
        self._project = project
        self._clock = clock
        self._begin = begin
        self._earlier = earlier
        self._has_begun = begin == 0
        self._is_first = begin == 0
        self._parent_key = parent_key
        self._facts: Json = {"program": session.program, "session_id": session.session_id}
        self._facts |= dict(facts)
        self._name = session.name
        self._silent: Place | None = None
        self._before: Counter[bytes] = Counter()
        self._lines: list[bytes] = []
        self._published: Json = {}
        self._told_usage: Json | None = None
        self._dirty: set[str] = {"about"}
        self._told_at: dict[str, float] = {}
        self._progress = ""
        self._first_ts: str | None = None
        self._has_said = False
        self._run: Json | None = None
        self._kept: Json | None = None
        self._start()

    def _start(self) -> None:
        """A reader and a source that begin at the file's beginning."""
        if self._kept is None:
            self._kept = self._known()
        if self._kept is None:
            self._kept = self._adapter.kept(self.session)
        self.reader = self._adapter.reader(self.session, self._kept)
        self.reader.calls.is_full = self._policy.content == "full"
        self._source = self._adapter.source(self.session)

    def _known(self) -> Json | None:
        """What was decided when the session's first run was made: later, a fork may be older than its
        original."""
        for each in (*self._earlier, self.output):
            try:
                kept = each.directory.read_run()["watch"]["kept"]
            except (OSError, InvalidFile, LookupError, TypeError):
                continue
            if isinstance(kept, dict):
                return kept
        return None

    @property
    def position(self) -> int:
        """The offset up to which the file was read."""
        return self._source.offset

    @property
    def has_news(self) -> bool:
        """Whether something waits to be told until its time has come."""
        return bool(self._dirty & {"usage", "progress"}) or self.output.is_behind

    @property
    def works(self) -> bool:
        """Whether the records say that the session works."""
        return self.doing.state.kind is None and self.doing.ts is not None

    @property
    def shown_name(self) -> str:
        """The run's name."""
        directory = self._directory()
        return self._policy.text(self._name, directory) if self._name else directory

    @property
    def status(self) -> Json:
        """What the run's status and attention are."""
        return self.doing.status(self._policy, is_subagent=self.session.is_subagent)

    @property
    def is_running(self) -> bool:
        """Whether that status is `running`."""
        return self.doing.is_running(is_subagent=self.session.is_subagent)

    @property
    def used(self) -> Json:
        """How many tokens the session has used, and the agent's own cost of them."""
        usage = self.reader.tally.usage()
        names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
        return {"tokens": sum(usage[name] for name in names), "cost_usd": usage.get("cost_usd")}

    def open(self) -> Found:
        """Looks at what the spool says."""
        found = self.output.recover() if self.output.exists else Found()
        self.identity = self._source.identity()
        if found.place is not None:
            known = Identity(found.place.inode, found.place.head)
            self.generation = found.place.generation
            is_same = self._source.continues(known, found.place.offset)
            if self._source.is_positional and is_same:
                self._silent = found.place
            else:
                self._begin_in_another_file()
        elif self._begin and self._source.is_positional:
            if self._is_file_of_before():
                self._silent = Place(self._begin, None, 0, "0-", 1)
            else:
                self._begin_in_another_file()
        if self.generation > 1 or not self._source.is_positional:
            self._before = self._said_before()
        self._published = dict(found.published or {})
        self._told_usage = found.usage
        return found

    def _is_file_of_before(self) -> bool:
        """Whether the file is still the one in which the run before has ended, as far as that is known."""
        before = self._earlier[-1].place() if self._earlier else None
        known = Identity(before.inode, before.head) if before is not None else self.identity
        return self._source.continues(known, self._begin)

    def _begin_in_another_file(self) -> None:
        """The file was replaced. The run begins where it did, if the new file reaches so far: usage before
        that place is an earlier run's."""
        self.generation += 1
        reaches = self._source.continues(self.identity, self._begin)
        self._begin = self._begin if reaches else 0
        self._has_begun = self._begin == 0

    def advance(self, limit_bytes: int) -> bool:
        """Reads on, up to about this many bytes; True if there may be more at once."""
        self.output.flush()
        if self.position and not self._source.continues(self.identity, self.position):
            self._begin_again()
        start, size = self.position, 0
        for line in self._source.lines(limit_bytes):
            size += max(line.next - line.offset, len(line.text or b""))
            self._line(line)
        self._speak_again()
        if self.position > start and not self.identity.head.startswith(f"{HEAD_BYTES}-"):
            self.identity = self._source.identity()
        self.publish()
        return size >= limit_bytes

    def _speak_again(self) -> None:
        """Everything that was told is read again: only what the life before had still to tell is news."""
        silent = self._silent
        if silent is None or silent.parts is not None or self.position < silent.offset:
            return
        self._silent = None
        self._dirty -= {"about", "progress"}
        if self._told_usage == self.reader.tally.usage():
            self._dirty.discard("usage")

    def _begin_again(self) -> None:
        """The file was replaced or cut. What the spool holds isn't said again."""
        self._silent = self.ended = None
        self._start()
        self.identity = self._source.identity()
        self._begin_in_another_file()
        self._before = self._said_before()

    def _said_before(self) -> Counter[bytes]:
        """What the runs of the session hold, where places can't say it."""
        outputs = (*self._earlier, self.output)
        return sum((each.said_before() for each in outputs if each.exists), Counter())

    def _line(self, line: Line) -> None:
        said = self._read(line)
        if not self._has_begun and line.offset >= self._begin:
            self._has_begun, self.ended = True, None
            self.reader.tally.restart()
        silent = self._silent
        if silent is not None and line.offset >= silent.offset:
            self._silent = None
        if silent is not None and line.offset < silent.offset:
            self._apply(said)
            self._pass_over(said)
            return
        passed = silent.parts if silent is not None and line.offset == silent.offset else 0
        self._apply(said)
        self._say(said, line, passed or 0)

    def _read(self, line: Line) -> list[Said]:
        """What a line becomes; nothing for one that can't be read."""
        if line.text is None:
            size = line.next - line.offset
            return [entries.notice(f"A record of {size:,} bytes is passed over", None, "warning")]
        if not line.text or self._adapter.skips(line.text):
            return []
        try:
            return [with_moment(each) for each in self.reader.read(records.loads(line.text))]
        except _UNREADABLE:
            self.unreadable += 1
            return []

    def _apply(self, said: list[Said]) -> None:
        """Takes over what records say of the session as a whole."""
        for each in said:
            if isinstance(each, Entry):
                self.ended = None  # it went on
                self.doing.note(each)
                self._first_ts = self._first_ts or each.ts
                self._dirty.add("progress")
            elif isinstance(each, State):
                self.doing.state = each
            elif isinstance(each, About):
                self._facts |= dict(each.facts)
                if self.session.name is None:
                    self._name = each.name or self._name
                self._dirty.add("about")
            elif isinstance(each, Used):
                self._dirty.add("usage")
            elif isinstance(each, ChildOver):
                self.over.append(each)
            elif isinstance(each, Ended):
                self.ended = each

    def _say(self, said: list[Said], line: Line, passed: int) -> None:
        """Writes down the entries of a record, but for the first ones that are there already."""
        if not said:
            return
        self._has_said = True
        told = [each for each in said if isinstance(each, Entry)]
        place = self._place(line.offset)
        for number, entry in enumerate(told, 1):
            if number <= passed:
                self._pass_over([entry])
            elif (data := self._unsaid(entry)) is not None:
                file = self.session.path.name
                self._lines.append(entry_line(data, place, line.next, number, len(told), file))
        if any(isinstance(each, Used) and each.large for each in said):
            self._tell_usage(self.reader.tally.before_large, line.next)
            self._tell_usage(self.reader.tally.usage(), line.next)
            self._dirty.discard("usage")

    def _pass_over(self, said: list[Said]) -> None:
        """The entries were said: one that is the same and follows later counts for itself."""
        for each in said if self._before else ():
            if isinstance(each, Entry):
                self._unsaid(each)

    def _unsaid(self, entry: Entry) -> Json | None:
        """What to write down of an entry; None where a spool of the session holds it already."""
        data = self._policy.entry(entry, self.session.agent_name or self.session.program)
        if self._before and self._before[known := digest(data)] > 0:
            self._before[known] -= 1
            return None
        return data

    def _tell_usage(self, usage: Json | None, offset: int) -> None:
        """A large request is told by itself: its tokens may have another price."""
        if usage is not None and usage["requests"]:
            self._lines.append(state_line("run:updated", {"usage": usage}, self._place(offset)))

    def register(self, state: State | None, facts: Mapping[str, Any]) -> None:
        """Takes over what the registry of processes says of the session, and facts of its process."""
        self.doing.registered = state
        if any(self._facts.get(name) != value for name, value in facts.items()):
            self._facts |= dict(facts)
            self._dirty.add("about")

    def publish(self, *, at_once: bool = False) -> None:
        """Tells what has changed, and writes it down. Progress and usage wait for their time, unless
        `at_once`."""
        is_run = self._is_first and self._has_said
        if self._silent is None and (self._lines or self.output.exists or is_run):
            for changed in self._changes(at_once):
                self._lines.append(state_line("run:updated", changed, self._place(self.position)))
            self._tell_progress(at_once)
        self._write()

    def _changes(self, at_once: bool) -> Iterator[Json]:
        """Facts and usage, then the state by itself: of a run that a hook has ended meanwhile, a server
        takes the former alone."""
        if changed := self._new_facts(at_once):
            yield changed
        status = self.status
        if any(self._published.get(name) != value for name, value in status.items()):
            self._published = dict(status)
            yield status

    def _new_facts(self, at_once: bool) -> Json:
        changed: Json = {}
        if "about" in self._dirty:
            self._dirty.discard("about")
            changed["metadata"] = {"agent": self._agent()}
            if self._name:
                changed["name"] = self.shown_name
        if "usage" in self._dirty and self._is_time("usage", at_once):
            self._dirty.discard("usage")
            changed["usage"] = self.reader.tally.usage()
        return changed

    def _tell_progress(self, at_once: bool) -> None:
        if "progress" not in self._dirty or not self._is_time("progress", at_once):
            return
        self._dirty.discard("progress")
        message = self.doing.progress(self._policy)
        if message and message != self._progress:
            self._progress = message
            data: Json = {"stage": "tool", "message": message}
            if self.doing.ts:
                data["ts"] = self.doing.ts
            self._lines.append(state_line("run:progress", data, self._place(self.position)))

    def _is_time(self, what: str, at_once: bool) -> bool:
        now = self._clock()
        if not at_once and now - self._told_at.get(what, -QUIET_SECONDS) < QUIET_SECONDS:
            return False
        self._told_at[what] = now
        return True

    def finish(self, status: str, error: str | None = None, result: str | None = None) -> None:
        """The session is over: the run gets its end."""
        self.publish(at_once=True)
        self.finish_unread(status, error, result)

    def finish_unread(
        self, status: str, error: str | None = None, result: str | None = None
    ) -> None:
        """The same where the session's file is gone: of what it did, nothing more can be told."""
        if not self.output.exists:
            return
        place, at = self._place(self.position), times.to_milliseconds(times.now())
        if status == "failed":
            told = texts.shortened(self._policy.text(error or "", ""), texts.RESULT_BYTES)[0]
            data: Json = {"error": told or "The session failed"}
            self._lines.append(state_line("agent:failed", data, place))
        else:
            shown = self._policy.text(result or "")
            data = {"result": texts.shortened(shown, texts.RESULT_BYTES)[0]} if shown else {}
            self._lines.append(state_line("agent:completed", data, place))
        self._write()
        run = self._run or self.output.directory.read_run()
        self.output.end(status, run, at, error if status == "failed" else None)

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self.written += len(lines)
            if not self.output.exists:
                self._run = self._made_of()
                self.output.create(self._run)
                lines[0] = with_id(lines[0], str(uuid7()))
            self.output.append(lines)

    def _made_of(self) -> Json:
        """run.json. Its id is its key: a hook or `exec` that knows the session already has the same run."""
        at = self._first_ts or times.to_milliseconds(times.now())
        run: Json = {
            "id": self.output.key,
            "key": self.output.key,
            "project": self._project,
            "name": self.shown_name,
            "phase": "session",
            "current_step": None,
            "steps": [],
            "step_timestamps": {},
            "status": "running",
            "agent_type": "SUBAGENT" if self.session.is_subagent else "SESSION",
            "agent_name": self.session.agent_name or self.session.program,
            "created_at": at,
            "updated_at": at,
            "metadata": {"agent": self._agent()},
            "watch": {"begin": self._begin, "kept": self._kept},
        }
        if self._parent_key is not None:
            run["parent_key"] = self._parent_key
        return run

    def _agent(self) -> Json:
        return self._policy.facts(self._facts)

    def _directory(self) -> str:
        cwd = self._facts.get("cwd")
        name = cwd.rstrip("/").rpartition("/")[2] if isinstance(cwd, str) else ""
        return (name or self.session.program)[:80]

    def _place(self, offset: int) -> Place:
        return Place(offset, 0, self.identity.inode, self.identity.head, self.generation)
