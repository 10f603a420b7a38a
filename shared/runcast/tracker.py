"""`RunTracker` and `AsyncRunTracker`: a program tells what it is doing.

Calls write the run's files and return; a thread feeds the server from them, if there is one (see
`recorder` and `feeder`). No call raises, and none waits for the network.

Both are one class but for how they begin and end: those two may take as long as the disk's locks
and the flush time, so the asynchronous face does them in a thread. Its calls are done when they
return, like those of the other; what they return can be awaited, so that `await run.log(…)` reads
well.
"""

import asyncio
import atexit
import contextlib
import functools
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from runcast import errors
from runcast._recording.artifacts import Source
from runcast._recording.capture import Capture
from runcast._recording.open_run import open_run
from runcast._recording.recorder import Recorder
from runcast._recording.run_directory import runs_dir as resolved_runs_dir
from runcast._support.never_raise import Guarded, harmless
from runcast._support.server_config import Connection, find
from runcast._upload.feeder import HEARTBEAT_SECONDS, Feeder
from runcast.asking import (
    UNREACHABLE,
    WAIT_SECONDS,
    Answer,
    Waiting,
    question_of,
    wait,
    wait_async,
)
from runcast.client.clients import AsyncClient, Client
from runcast.client.exchange import ONCE
from runcast.contract import TERMINAL_STATUSES

logger = logging.getLogger("runcast")

FLUSH_SECONDS = 5.0

R = TypeVar("R")


class Done(Awaitable[None]):
    """The result of a call that is done already."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


class Calls(Guarded, Generic[R]):
    """What a tracker can be told. `R` is what calls return: None, or something to await."""

    def __init__(
        self,
        run_id: str | None = None,
        *,
        project: str | None = None,
        runs_dir: str | os.PathLike[str] | None = None,
        json_logs: bool = False,
        capture_output: bool = False,
        name: str | None = None,
        steps: Iterable[str] | None = None,
        phase: str | None = None,
        current_step: str | None = None,
        agent_type: str | None = None,
        agent_name: str | None = None,
        task_id: str | None = None,
        input: Any = None,
        metadata: dict[str, Any] | None = None,
        url: str | None = None,
        token: str | None = None,
        offline: bool = False,
        flush_seconds: float = FLUSH_SECONDS,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        """`run_id` is a UUID or a key, and names the run's directory in `runs_dir`.

        The server is `url`, else what `RUNCAST_URL` or the local server's credentials.json say;
        without any, or `offline`, only files are written (`runcast sync` sends them later). At
        the end at most `flush_seconds` are spent on what isn't sent yet. `capture_output` also
        records what the program prints.
        """
        super().__init__()
        self.flush_seconds = flush_seconds
        self.otherwise: tuple[str, str | None] = (
            "failed",
            "the program ended without finishing the run",
        )
        self.heartbeat_seconds = heartbeat_seconds
        self._run_id = run_id
        self._project = project
        self._root = resolved_runs_dir(runs_dir)
        self._json_logs = json_logs
        self._captures = capture_output
        self._fields = {
            "name": name,
            "steps": steps,
            "phase": phase,
            "current_step": current_step,
            "agent_type": agent_type,
            "agent_name": agent_name,
            "task_id": task_id,
            "input": input,
            "metadata": metadata,
        }
        self._server = None if offline else _server(url, token)
        self._recorder: Recorder | None = None
        self._feeder: Feeder | None = None
        self._capture: Capture | None = None
        self._owner = 0
        self._has_begun = False
        self._beginning = threading.Lock()

    @property
    def run_id(self) -> str | None:
        """The run's id, a UUID; None before it has begun, or where nothing could be written."""
        return self._recorder.run_id if self._recorder else None

    @property
    def directory(self) -> Path | None:
        """Where the run's files are."""
        return self._recorder.directory.path if self._recorder else None

    @property
    def cancelled(self) -> bool:
        """Whether the run was cancelled at the server; learnt within `heartbeat_seconds`."""
        return self._feeder is not None and self._feeder.cancelled.is_set()

    def emit(
        self,
        stage: str,
        message: str,
        percent: float | None = None,
        step: int | None = None,
        total_steps: int | None = None,
    ) -> R:
        """Progress. A stage that is one of the run's steps also makes it the current one."""
        numbers = {"percent": percent, "step": step, "total_steps": total_steps}
        whole = {name: _whole(value) for name, value in numbers.items()}
        self._record(lambda recorder: recorder.progress(str(stage), str(message), **whole))
        return self._result()

    def log(
        self,
        message: str,
        *,
        level: str = "info",
        agent_name: str | None = None,
        event_type: str | None = None,
        payload: Any = None,
        ts: datetime | None = None,
    ) -> R:
        """One log entry; `ts` is its time, if that isn't now."""
        self._record(
            lambda recorder: recorder.log(
                str(message),
                level=str(level),
                agent_name=agent_name or self._fields["agent_name"],
                event_type=event_type,
                payload=payload,
                ts=ts,
            )
        )
        return self._result()

    def lines(self, source: str, texts: Sequence[str]) -> R:
        """Lines of a program's output, as they are; `source` is stdout, stderr, a file's name …"""
        self._record(lambda recorder: recorder.lines(source, texts))
        return self._result()

    def artifact(
        self,
        step_name: str,
        content: Any = None,
        *,
        path: str | os.PathLike[str] | None = None,
        media_type: str | None = None,
    ) -> R:
        """An output of a step: JSON, text, bytes, or a file (which is copied)."""
        source = Source(content, Path(path) if path is not None else None, media_type)
        self._record(lambda recorder: recorder.artifact(str(step_name), source))
        return self._result()

    def step(self, name: str) -> R:
        """The run has reached a step."""
        self._record(lambda recorder: recorder.update(current_step=str(name)))
        return self._result()

    def update(self, **fields: Any) -> R:
        """Other fields of the run: `status` (`running`, `awaiting_feedback`), `metadata`,
        `pr_url`, `result`. A terminal status ends the run."""
        if fields.get("status") in TERMINAL_STATUSES:
            ends = {name: fields[name] for name in ("result", "pr_url") if name in fields}
            self._end(fields["status"], fields.get("error"), **ends)
            return self._result()
        self._record(lambda recorder: recorder.update(**fields))
        return self._result()

    def event(self, name: str, data: dict[str, Any]) -> R:
        """An event of one's own, `x:<name>`, with up to 64 KiB of JSON."""
        self._record(lambda recorder: recorder.custom(name, data))
        return self._result()

    def _ask(
        self,
        title: str,
        options: Sequence[Any] | None,
        timeout: float | None,
        fields: dict[str, Any],
    ) -> Waiting | None:
        """Writes a question to the spool; what there is to wait for, None without a server."""
        question = question_of(str(title), options, timeout, fields)
        self._record(lambda recorder: recorder.ask(question))
        if self._server is None or self._feeder is None:
            return None
        return Waiting(question["id"], timeout)

    def expect_next_in(self, seconds: float) -> R:
        """Nothing may be heard for so long: until then the run does not count as stalled."""
        if self._feeder is not None:
            self._feeder.expect_next_in_s = seconds
        return self._result()

    @harmless("begin the run")
    def _begin(self) -> None:
        with self._beginning:
            if self._recorder is None and not self._has_begun:
                self._has_begun = True
                self._open()

    def _open(self) -> None:
        recorder = open_run(
            self._root,
            run_id=self._run_id,
            project=self._project,
            json_logs=self._json_logs,
            **self._fields,
        )
        recorder.begin()
        self._recorder = recorder
        self._owner = os.getpid()
        self._start_feeder()
        if self._captures:
            self._capture = Capture(self.lines)
            self._capture.start()
        atexit.register(self._abandon)

    def _start_feeder(self) -> None:
        if self._server is not None and self._recorder is not None:
            self._feeder = Feeder(
                self._recorder.directory,
                functools.partial(_connect, self._server),
                heartbeat_seconds=self.heartbeat_seconds,
            )
            self._feeder.start()

    @harmless("end the run")
    def _end(
        self,
        status: str,
        error: str | None = None,
        /,
        *,
        result: Any = None,
        pr_url: str | None = None,
    ) -> None:
        recorder = self._recorder
        if recorder is None or not self._owner:
            return
        is_ours = os.getpid() == self._owner
        if is_ours:
            atexit.unregister(self._abandon)
            if self._capture is not None:
                self._capture.stop()
            recorder.finish(status, error=error, result=result, pr_url=pr_url)
            self._owner = 0
            recorder.close()
        self._flush(recorder, is_finished=is_ours)

    def _flush(self, recorder: Recorder, *, is_finished: bool) -> None:
        if self._feeder is None or not self._feeder.is_ours():
            return
        unsent = self._feeder.close(self.flush_seconds, is_finished=is_finished)
        if unsent:
            path = recorder.directory.path
            logger.warning("%d bytes are not sent yet; later: runcast sync %s", unsent, path)

    @harmless("record")
    def _record(self, write: Callable[[Recorder], object]) -> None:
        if self._recorder is None:
            self._begin()
        if self._recorder is None or not self._owner:
            return
        if os.getpid() != self._owner and self._feeder is not None and not self._feeder.is_ours():
            # A forked child has no threads of its parent's: it may have to feed what it writes.
            self._start_feeder()
        write(self._recorder)
        if self._feeder is not None:
            self._feeder.wake()

    def _abandon(self) -> None:
        """The interpreter ends and nobody said how the run did."""
        self._end(*self.otherwise)

    def _result(self) -> R:
        raise NotImplementedError


class RunTracker(Calls[None]):
    """A run, for programs that block.

        with RunTracker(project="demo", run_id="my-run") as run:
            run.emit("spec", "Generating spec", percent=10)

    Leaving the block marks the run completed, or failed with the exception's reason; Ctrl-C and
    cancelled tasks mark it cancelled. It can be used from any thread, and in forked children,
    where it adds to the same run; only the process that began the run ends it.
    """

    def start(self) -> Self:
        """Begins the run. Entering the block, and the first call, do the same."""
        self._begin()
        return self

    @harmless("ask", UNREACHABLE)
    def ask(
        self,
        /,
        title: str,
        options: Sequence[Any] | None = None,
        *,
        timeout: float | None = None,
        **question: Any,
    ) -> Answer:
        """Asks people, and waits for the answer: for ever, or until it expires after `timeout` seconds.

        With `options` (texts, or objects with id and label) one of them is chosen, without them a text is
        asked for. `question`: kind, body, multiple, text, parts, schema, default, on_expiry, tool,
        dedupe_key (`docs/questions.md`). Never raises: without a server the question is only recorded, and
        the answer's state is `unreachable` at once.
        """
        waiting = self._ask(title, options, timeout, question)
        if waiting is None or self._server is None:
            return UNREACHABLE
        where = (self._server.url, self._server.token)
        with Client(*where, timeout_seconds=WAIT_SECONDS + 10.0, patience=ONCE) as client:
            return wait(client, waiting)

    def finish(self, status: str = "completed", error: str | None = None, **more: Any) -> None:
        """Ends the run: `completed`, `failed` or `cancelled`; `more`: `result`, `pr_url`."""
        self._end(status, error, **more)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._end(*outcome(error))

    def _result(self) -> None:
        return None


class AsyncRunTracker(Calls[Awaitable[None]]):
    """A run, for asyncio.

        async with AsyncRunTracker(project="demo") as run:
            await run.log("thinking…")

    As `RunTracker`; beginning and ending don't hold up the event loop.
    """

    async def start(self) -> Self:
        """Begins the run."""
        await asyncio.to_thread(self._begin)
        return self

    async def ask(
        self,
        title: str,
        options: Sequence[Any] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 — the question's, kept by the server
        **question: Any,
    ) -> Answer:
        """As `RunTracker.ask`, without holding up the event loop."""
        try:
            waiting = self._ask(title, options, timeout, question)
            if waiting is None or self._server is None:
                return UNREACHABLE
            where = (self._server.url, self._server.token)
            seconds = WAIT_SECONDS + 10.0
            async with AsyncClient(*where, timeout_seconds=seconds, patience=ONCE) as client:
                return await wait_async(client, waiting)
        except Exception as error:  # the SDK's outermost line (`never_raise`)
            self.told("ask", error)
            return UNREACHABLE

    async def finish(
        self, status: str = "completed", error: str | None = None, **more: Any
    ) -> None:
        """Ends the run: `completed`, `failed` or `cancelled`; `more`: `result`, `pr_url`."""
        await asyncio.to_thread(self._end, status, error, **more)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        # A cancelled task still ends its run, and is cancelled then.
        await asyncio.shield(asyncio.to_thread(self._end, *outcome(error)))

    def _result(self) -> Awaitable[None]:
        return Done()


def outcome(error: BaseException | None) -> tuple[str, str | None]:
    """How a run ended that this left: status and reason."""
    match error:
        case None | GeneratorExit():
            return "completed", None
        case SystemExit():
            ended_well = error.code is None or error.code == 0
            return ("completed", None) if ended_well else ("failed", f"exit: {error.code}")
        case KeyboardInterrupt() | asyncio.CancelledError():
            return "cancelled", type(error).__name__
        case _:
            text = ""
            with contextlib.suppress(Exception):  # a host's own __str__ may raise anything
                text = str(error)
            return "failed", text or type(error).__name__


def _whole(number: float | None) -> int | None:
    """Percents and steps are whole numbers; what is none is left out."""
    try:
        return None if number is None else round(number)
    except (TypeError, ValueError, OverflowError):
        return None


def _server(url: str | None, token: str | None) -> Connection | None:
    try:
        return find(url, token)
    except errors.NotConfigured:
        return None


def _connect(server: Connection) -> Client:
    return Client(server.url, server.token, timeout_seconds=10.0)
