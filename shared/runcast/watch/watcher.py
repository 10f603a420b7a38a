"""The watcher: finds sessions, reads what is new in them, and notices when one is over.

One thread does it all, in rounds. A session that moved within a minute is looked at in every round, one that
sleeps every two seconds, so that hundreds of them cost next to nothing. Nothing that one session does keeps
the others from being read: what goes wrong with it is its own complaint, and it is tried again.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runcast._support.encoding import as_text
from runcast.agents.identity import child_key
from runcast.agents.said import ChildOver
from runcast.watch import handover, memory
from runcast.watch.content import Policy
from runcast.watch.delivery import Delivery
from runcast.watch.following import Following
from runcast.watch.foreign import Foreign, Standing
from runcast.watch.line_file import Stamp
from runcast.watch.run_output import RunOutput
from runcast.watch.sessions import Adapter
from runcast.watch.translation import Translation

logger = logging.getLogger("runcast")

Json = dict[str, Any]

ROUND_SECONDS = 0.25
ACTIVE_SECONDS = 60.0
SLEEPING_SECONDS = 2.0
SCAN_SECONDS = 1.0
FULL_SCAN_SECONDS = 10.0
PROCESS_SECONDS = 1.0
RESTED_SECONDS = 5.0
"""A session that was silent for so long wakes up when it moves."""
GONE_SECONDS = 2.0
"""How long a process has to be missing until its session is over."""
CHILD_SECONDS = 60.0
"""A sub-agent that has said its last word for so long is over."""
FORGET_SECONDS = 600.0
"""A session that slept for so long is read once more if it wakes; until then it takes no memory."""
REMEMBER_SECONDS = 2.0
RETRY_SECONDS = 10.0
PORTION_BYTES = 4 << 20
STALL_SECONDS = 600.0
TOOL_STALL_SECONDS = 3600.0
JUMP_SECONDS = 60.0
DIED = "The process ended while it worked"


@dataclass(frozen=True, slots=True)
class Options:
    """How sessions are followed. `since_seconds`: how old a session may be that is taken at the start, None
    for any. `idle_close_seconds`: one that was silent for so long, and has no living process, is over."""

    runs_dir: Path
    project: str
    host: str
    since_seconds: float | None = 86_400.0
    idle_close_seconds: float = 12 * 3600.0


class Watcher:
    """Follows the sessions beneath the roots of some agents."""

    def __init__(
        self,
        roots: Sequence[tuple[Adapter, Path]],
        policy: Policy,
        options: Options,
        *,
        delivery: Delivery | None = None,
        told: Callable[[Following], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`told` is called when a session's status or attention has changed."""
        self.followings: dict[str, Following] = {}
        self._roots = roots
        self._policy = policy
        self._options = options
        self._delivery = delivery
        self._told = told
        self._clock = clock
        self._now = now
        self._foreign = Foreign(options.runs_dir)
        self._remembered = memory.read(options.runs_dir)
        self._children: dict[str, ChildOver] = {}
        self._began_at = now()
        self._has_scanned = False
        self._scanned_at = self._fully_at = self._processes_at = self._kept_at = float("-inf")
        self._is_changed = False
        self._complaints: dict[Path, str] = {}
        self._last_look = (clock(), now())
        self._jumped = 0.0
        """Seconds that the wall clock has jumped since the start: they make no session older."""
        self._last_jump = (0.0, now())
        """The last of them, and the time before it."""

    def round(self) -> bool:
        """One look at everything that is due; True if there may be more at once."""
        at = self._clock()
        self._notice_jump(at)
        self._scan(at)
        self._look_at_processes(at)
        has_more = False
        for following in list(self.followings.values()):
            if at >= following.next_look:
                has_more |= self._guarded(following, at)
        self._remember(at)
        return has_more

    def _notice_jump(self, at: float) -> None:
        """The wall clock was set, or the machine slept: no session was silent meanwhile."""
        before, now = self._last_look, self._now()
        jump = (now - before[1]) - (at - before[0])
        if abs(jump) > JUMP_SECONDS:
            self._jumped += jump
            self._last_jump = jump, before[1]
        self._last_look = at, now

    def _jumped_before(self, seen: Stamp | None) -> float:
        """How far the clock had jumped when a file was written that was found changed only now: it may have
        been written just before the last jump."""
        (jump, before), written = (
            self._last_jump,
            seen[2] / 1e9 if seen is not None else self._now(),
        )
        is_older = (
            written < before + jump / 2 if jump > 0 else written > self._now() + JUMP_SECONDS / 2
        )
        return self._jumped - jump if is_older else self._jumped

    def drain(self) -> None:
        """Reads everything that is there, and notices what is over: for reading history once."""
        while self.round():
            pass
        for following in self.followings.values():
            following.next_look = 0.0
        while self.round():
            pass

    def close(self) -> None:
        """Tells what waits for its time, and writes down how far everything was read."""
        for following in self.followings.values():
            if following.translation is not None:
                try:
                    following.translation.publish(at_once=True)
                    following.translation.output.close()
                except OSError as error:
                    self._complain(following, error)
        self._is_changed, self._kept_at = True, float("-inf")
        self._remember(self._clock())

    # -- finding ---------------------------------------------------------------------------------

    def _scan(self, at: float) -> None:
        if at - self._scanned_at < SCAN_SECONDS:
            return
        self._scanned_at = at
        is_full = at - self._fully_at >= FULL_SCAN_SECONDS
        if is_full:
            self._fully_at = at
        hot = None if is_full else self._hot(at)
        for adapter, root in self._roots:
            try:
                self._find(adapter, root, hot, at)
            except Exception as error:  # what lies beneath one root mustn't stop the others
                self._warn(root, f"can't be looked through: {error}")
            else:
                self._complaints.pop(root, None)
        self._has_scanned = True
        self._foreign.look()

    def _find(self, adapter: Adapter, root: Path, hot: frozenset[str] | None, at: float) -> None:
        """Follows the sessions beneath a root that are new or have moved."""
        new = []
        for session in list(adapter.sessions(root, hot)):
            known = self.followings.get(session.key)
            if known is None:
                new.append(Following(session, adapter))
            elif known.session.path != session.path:
                self._move(known, session.path)
        self._take(new, at)

    def _warn(self, path: Path, reason: str) -> None:
        """Warns once of what goes wrong with a directory, until it is something else."""
        if self._complaints.get(path) != reason:
            self._complaints[path] = reason
            logger.warning("%s %s", as_text(path), as_text(reason[:500]))

    def _hot(self, at: float) -> frozenset[str]:
        return frozenset(
            key
            for key, each in self.followings.items()
            if at - each.moved_at < ACTIVE_SECONDS or each.is_attached
        )

    def _move(self, following: Following, path: Path) -> None:
        """The session's file has another name (Codex archives and compresses its rollouts)."""
        if following.session.path.exists():
            return
        following.session = replace(following.session, path=path)
        following.translation = following.kept = None
        if following.is_over:
            following.read = self._stamp(following)
        self._is_changed = True

    def _take(self, new: list[Following], at: float) -> None:
        """Begins to follow sessions, the ones that were written first before the others: a fork's
        original before the fork."""
        for following in sorted(new, key=lambda each: (self._stamp(each) or (0, 0, 0))[2]):
            following.seen = self._stamp(following)
            following.jumped = self._jumped_before(following.seen)
            known = self._remembered.get(following.session.key)
            if known is not None and known.get("path") == str(following.session.path):
                self._recall(following, known)
            elif known is None and not self._has_scanned:
                following.is_taken = self._is_young(following)
                following.read = None if following.is_taken else following.seen
            following.moved_at = at
            self.followings[following.session.key] = following
            self._is_changed = True

    def _recall(self, following: Following, known: Json) -> None:
        """Takes over what was kept of a session. A run that was removed once it was over stays so."""
        following.recall(known)
        size = RunOutput(self._options.runs_dir, following.last_key).size
        if size != known.get("spool") and not (size is None and following.is_over):
            following.doubt()
        if size is not None and following.sent != size:
            self._send_rest(following)

    def _send_rest(self, following: Following) -> None:
        """The last life may have ended before what it wrote was sent."""
        if self._delivery is None:
            return
        directory = RunOutput(self._options.runs_dir, following.last_key).directory
        self._delivery.wake(following.last_key, directory)
        if following.is_over:
            self._delivery.finish(following.last_key)

    def _is_young(self, following: Following) -> bool:
        age = self._options.since_seconds
        if age is None or following.seen is None:
            return True
        is_known = RunOutput(self._options.runs_dir, following.session.key).exists
        return is_known or self._began_at - following.seen[2] / 1e9 <= age

    @staticmethod
    def _stamp(following: Following) -> Stamp | None:
        return following.adapter.stamp(following.session)

    # -- processes -------------------------------------------------------------------------------

    def _look_at_processes(self, at: float) -> None:
        if at - self._processes_at < PROCESS_SECONDS:
            return
        self._processes_at = at
        for adapter, root in self._roots:
            mine = [
                each
                for each in self.followings.values()
                if each.adapter is adapter and not each.session.is_subagent and not each.is_over
            ]
            try:
                found = adapter.processes(root, [each.session for each in mine])
            except Exception as error:  # what is known of processes must not stop the reading
                logger.warning("processes of %s: %r", adapter.program, error)
                continue
            if found is None:
                continue
            for following in mine:
                registered = found.get(following.session.key)
                if registered != following.registered:
                    following.next_look = 0.0
                following.registered = registered
                if following.is_attached:
                    following.was_attached, following.gone_at = True, None
                elif following.was_attached and following.gone_at is None:
                    following.gone_at = at

    # -- reading ---------------------------------------------------------------------------------

    def _guarded(self, following: Following, at: float) -> bool:
        try:
            has_more = self._look(following, at)
            following.complaint = None
            return has_more
        except FileNotFoundError:
            following.next_look = at + SLEEPING_SECONDS
        except OSError as error:
            self._complain(following, error)
        except Exception as error:  # whatever one session holds is that session's matter alone
            logger.warning("%s can't be followed", as_text(following.session.path), exc_info=True)
            self._complain(following, error)
        following.next_look = at + RETRY_SECONDS
        return False

    def _complain(self, following: Following, error: Exception) -> None:
        reason = str(error)
        if following.complaint != reason:
            following.complaint = reason
            logger.warning("%s: %s", as_text(following.session.path), as_text(reason))

    def _look(self, following: Following, at: float) -> bool:
        seen = self._stamp(following)
        if seen is None:
            following.next_look = at + SLEEPING_SECONDS
            return False
        if seen != following.seen:
            if not following.is_waking and at - following.moved_at >= RESTED_SECONDS:
                following.is_waking = True
                self._foreign.look()
            following.moved_at = at
            following.seen, following.jumped = seen, self._jumped_before(seen)
            following.is_taken = True
        has_more = False
        if following.is_behind and self._may_read(following):
            has_more = self._read(following)
        if self._has_to_tell(following):
            self._tell(following, at)
            following.told = following.registered, following.read
        self._end(following, at)
        if not has_more:
            self._rest(following, at)
        return has_more

    @staticmethod
    def _has_to_tell(following: Following) -> bool:
        """Whether there may be something to tell: of sessions that sleep there isn't."""
        translation = following.translation
        if translation is None:
            is_wanted = following.is_attached and following.is_taken
            return is_wanted and not following.is_foreign
        is_same = following.told == (following.registered, following.read)
        return not is_same or translation.has_news or translation.works

    def _may_read(self, following: Following) -> bool:
        """Whether the session is the watcher's to read now. One that wakes up while a run of `exec` may still
        name it has to wait for that run's word, or both would be the session."""
        if following.is_foreign:
            self._foreign.look()
        if following.translation is not None and self._foreign.is_claimed(following.session.key):
            self._hand_over(following, following.translation)
        if self._is_foreign(following):
            return False
        return not (following.is_waking and self._foreign.may_claim(following.session.program))

    def _hand_over(self, following: Following, translation: Translation) -> None:
        """Another run reports the session from here on, under its next name: ours has ended."""
        translation.finish("completed")
        if translation.output.exists:
            self._wrap_up(following, translation, "completed")
            following.number += 1
        following.translation = None
        following.is_foreign = True

    def _is_foreign(self, following: Following) -> bool:
        """Whether another program of ours reports the session already, so that nothing comes twice."""
        if following.translation is None:
            is_reported = self._is_reported(following)
            self._is_changed |= is_reported or following.is_foreign
            following.is_foreign = is_reported
        if following.is_foreign:
            following.read = following.seen
        return following.is_foreign

    def _is_reported(self, following: Following) -> bool:
        """Whether another run stands for what was written; one that is over leaves the rest to us."""
        session, written_ns = following.session, following.seen[2] if following.seen else 0
        own = self._foreign.standing(session.key, written_ns)
        above = Standing.UNREPORTED
        if session.parent_key is not None:
            above = self._foreign.standing(session.parent_key, written_ns)
        if Standing.REPORTED in (own, above):
            return True
        if own is Standing.LEFT or (above is Standing.LEFT and following.is_foreign):
            self._take_over(following)
        parent = self.followings.get(session.parent_key or "")
        is_beneath = parent is not None and parent.is_foreign
        return is_beneath and Standing.LEFT not in (own, above)

    def _take_over(self, following: Following) -> None:
        """The session goes on after another program's run: as its next run, from where that one was left."""
        session = following.session
        over_ns = self._foreign.over_ns({session.key, session.parent_key or session.key})
        known = following.read[1] if following.read is not None else 0
        left_at = handover.left_at(following.adapter, session, known, over_ns)
        if following.number == 1 and self._output(following).begin is None:
            following.number = 2
            begun_at = self._output(following).begin
            following.begin = left_at if begun_at is None else begun_at
        elif following.is_foreign and following.is_over:
            following.begin = left_at

    def _read(self, following: Following) -> bool:
        translation = following.translation or self._open(following)
        following.is_waking = False
        before = following.seen
        has_more = translation.advance(PORTION_BYTES)
        if not has_more:
            following.read = before
        self._take_children(following, translation)
        if following.is_over and translation.output.exists:
            following.is_over = False  # it goes on as its next run
            self._is_changed = True
        return has_more

    def _open(self, following: Following) -> Translation:
        """The translation of a session, from where its runs say that it is."""
        output = self._output(following)
        translation = self._translation(following, output)
        found = translation.open()
        while found.is_over and found.place is not None:
            following.number += 1
            following.begin = found.place.offset
            following.is_over = True
            translation = self._translation(following, self._output(following))
            found = translation.open()
        following.translation, following.told = translation, None
        following.delivered = (
            -1 if translation.output.exists else 0
        )  # by a life before, perhaps unsent
        following.was_attached |= found.has_process and not found.is_over
        return translation

    def _caught_up(self, following: Following) -> Translation:
        """The translation of a session whose file was read before."""
        translation = self._open(following)
        while translation.advance(PORTION_BYTES):
            pass
        return translation

    def _output(self, following: Following) -> RunOutput:
        return RunOutput(self._options.runs_dir, following.run_key)

    def _translation(self, following: Following, output: RunOutput) -> Translation:
        facts: Json = {"host": self._options.host}
        if following.number > 1:
            before = replace_number(following, following.number - 1)
            facts["resumes"] = before
        return Translation(
            following.session,
            following.adapter,
            output,
            self._policy,
            project=self._options.project,
            facts=facts,
            clock=self._clock,
            begin=following.begin,
            earlier=[
                self._output(replace(following, number=n)) for n in range(1, following.number)
            ],
            parent_key=self._parent_key(following),
        )

    def _parent_key(self, following: Following) -> str | None:
        parent = self.followings.get(following.session.parent_key or "")
        return parent.last_key if parent is not None else following.session.parent_key

    def _take_children(self, following: Following, translation: Translation) -> None:
        over, translation.over = translation.over, []
        above = following.session.parent_key or following.session.key
        for each in over:
            self._children[child_key(above, each.agent_id)] = each
        while len(self._children) > 10_000:
            del self._children[next(iter(self._children))]

    def _tell(self, following: Following, at: float) -> None:
        """Tells the session's state, as its records and its process say it."""
        translation = following.translation or self._caught_up(following)
        if following.is_attached and following.registered is not None:
            translation.register(following.registered.state, following.registered.facts)
        else:
            translation.register(None, {})
        translation.publish()
        if following.is_over or not translation.output.exists:
            return
        if self._delivery is not None:
            if translation.written != following.delivered:
                following.delivered = translation.written
                self._delivery.wake(following.run_key, translation.output.directory)
            self._delivery.beat(following.run_key, self._is_working(following, at))
        following.used = translation.used
        shown = translation.status | {"name": translation.shown_name}
        if shown != following.shown:
            following.shown = shown
            self._is_changed = True
            self._told(following)

    def _is_working(self, following: Following, at: float) -> bool:
        """Whether the session surely works: then its run isn't called stalled."""
        translation = following.translation
        if translation is None or translation.status["status"] != "running":
            return False
        stall = TOOL_STALL_SECONDS if len(translation.reader.calls) else STALL_SECONDS
        may_live = following.is_attached or not following.was_attached
        return may_live and at - following.moved_at < stall

    # -- ending ----------------------------------------------------------------------------------

    def _end(self, following: Following, at: float) -> None:
        is_no_run = following.is_foreign or following.is_over or not following.is_taken
        if is_no_run or following.is_behind:
            return
        if self._verdict(following, at) is None:
            return
        translation = following.translation or self._caught_up(following)
        verdict = self._verdict(following, at)
        if following.is_over or verdict is None:
            return
        status, error, result = verdict
        translation.register(None, {})
        translation.finish(status, error, result)
        if translation.output.exists:
            self._wrap_up(following, translation, status)

    def _wrap_up(self, following: Following, translation: Translation, status: str) -> None:
        if self._delivery is not None:
            self._delivery.wake(following.run_key, translation.output.directory)
            self._delivery.finish(following.run_key)
        translation.output.close()
        following.is_over, following.was_attached, following.gone_at = True, False, None
        following.number += 1
        following.begin = translation.position
        following.translation = None
        following.shown = {"status": status, "attention": None, "name": translation.shown_name}
        self._is_changed = True
        self._told(following)

    def _verdict(
        self, following: Following, at: float
    ) -> tuple[str, str | None, str | None] | None:
        """How the session has ended: status, error, result; None while it hasn't."""
        translation, registered = following.translation, following.registered
        if translation is not None and translation.ended is not None:
            return translation.ended.status, translation.ended.error, None
        if following.session.is_subagent and (over := self._child_verdict(following, at)):
            return over
        if following.is_attached:
            return None
        works = translation is not None and translation.works
        is_later = following.number > 1 and not following.was_attached
        if registered is not None and not is_later:  # its process crashed
            return ("failed", DIED, None) if works else ("completed", None, None)
        if following.gone_at is not None and at - following.gone_at >= GONE_SECONDS:
            has_failed = works and not following.adapter.tells_exits
            return ("failed", DIED, None) if has_failed else ("completed", None, None)
        if self._is_silent(following):
            return "completed", None, None
        return None

    def _child_verdict(
        self, following: Following, at: float
    ) -> tuple[str, str | None, str | None] | None:
        """What was said of its end counts for its first run: one that went on after that is over when it is
        quiet."""
        is_first = following.number == 1
        over = self._children.get(following.session.key)
        if over is not None and is_first:
            return over.status, over.error, over.result
        is_quiet = at - following.moved_at >= CHILD_SECONDS or self._age(following) >= CHILD_SECONDS
        parent = self.followings.get(following.session.parent_key or "")
        if parent is not None and parent.is_over and (is_first or is_quiet):
            return "completed", None, None
        translation = following.translation
        if translation is None or translation.doing.state.kind != "idle":
            return None
        return ("completed", None, None) if is_quiet else None

    def _age(self, following: Following) -> float:
        """Seconds since the file changed, without those by which the clock has jumped since."""
        if following.seen is None:
            return 0.0
        return self._now() - (self._jumped - following.jumped) - following.seen[2] / 1e9

    def _is_silent(self, following: Following) -> bool:
        return self._age(following) >= self._options.idle_close_seconds

    # -- resting ---------------------------------------------------------------------------------

    def _rest(self, following: Following, at: float) -> None:
        quiet = at - following.moved_at
        translation = following.translation
        if quiet < ACTIVE_SECONDS:
            following.next_look = at
        else:
            following.next_look = at + SLEEPING_SECONDS
            if self._delivery is not None and not self._is_working(following, at):
                self._delivery.rest(following.run_key)
        if translation is None or translation.has_news:
            return
        if quiet >= FORGET_SECONDS and not following.is_attached:
            translation.output.close()
            following.translation = None
        elif quiet >= ACTIVE_SECONDS:
            translation.output.close()

    def _kept(self, following: Following) -> Json:
        if following.is_taken or following.translation is not None:
            following.kept = None
            return self._as_it_is(following)
        if following.kept is None:
            following.kept = self._as_it_is(following)
        return following.kept

    def _as_it_is(self, following: Following) -> Json:
        size = RunOutput(self._options.runs_dir, following.last_key).size
        if self._delivery is not None and self._delivery.has_sent(following.last_key):
            following.sent = size
        kept = following.remembered(size)
        if following.translation is not None and following.translation.has_news:
            kept["read"] = None  # what waits for its time is in no file yet
        return kept

    def _remember(self, at: float) -> None:
        if not self._is_changed or at - self._kept_at < REMEMBER_SECONDS:
            return
        self._is_changed, self._kept_at = False, at
        kept = {key: each for key, each in self._remembered.items() if key not in self.followings}
        try:
            kept |= {key: self._kept(each) for key, each in self.followings.items()}
            memory.write(self._options.runs_dir, kept)
        except Exception as error:  # without it the next life reads more, and that is all
            self._warn(self._options.runs_dir, f"can't be written: {error}")
        else:
            self._complaints.pop(self._options.runs_dir, None)


def replace_number(following: Following, number: int) -> str:
    """The key of an earlier run of the session."""
    return replace(following, number=number).run_key


def host_name() -> str:
    """This machine's name, without its domain."""
    return os.uname().nodename.partition(".")[0] if hasattr(os, "uname") else "here"


def roots_of(
    adapters: Iterable[Adapter],
    given: dict[str, list[Path]],
    home: Path,
) -> list[tuple[Adapter, Path]]:
    """Where to look for sessions: what is given for an agent, else its own directories that are there."""
    found: list[tuple[Adapter, Path]] = []
    for adapter in adapters:
        named = given.get(adapter.program)
        places = named if named is not None else adapter.roots(os.environ, home)
        found += [(adapter, place) for place in places if named is not None or place.is_dir()]
    return found
