"""`RunTracker` and `AsyncRunTracker`: a program tells what it is doing.

Calls write the run's files and return; a thread feeds the server from them, if there is one (see
`_tracking.session`, `_recording.recorder` and `_upload.feeder`). No call raises, and none waits for the
network.

Both are one class but for how they begin and end: those two may take as long as the disk's locks
and the flush time, so the asynchronous face does them in a thread. Its calls are done when they
return, like those of the other; what they return can be awaited, so that `await run.log(…)` reads
well.
"""

import functools
import html
import importlib
import os
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Literal, Self, TypeVar, Unpack

from runcast._recording import messages
from runcast._recording.artifacts import Source
from runcast._recording.open_run import Resume
from runcast._recording.recorder import Recorder
from runcast._recording.run_directory import runs_dir as resolved_runs_dir
from runcast._support import acceptable
from runcast._support.encoding import as_text
from runcast._tracking.capture import current_session
from runcast._tracking.commands import execute
from runcast._tracking.current import Current
from runcast._tracking.fields import RunEnd, RunOptions
from runcast._tracking.outcomes import outcome
from runcast._tracking.session import Session
from runcast._tracking.settings import (
    FLUSH_SECONDS,
    Mode,
    Settings,
    mode_of,
    run_id_of,
    seconds_of,
    text_of,
)
from runcast._tracking.spans import Span
from runcast.asking import UNREACHABLE, Answer, Waiting, question_of, seconds_to_answer
from runcast.contract import HEARTBEAT_SECONDS, TERMINAL_STATUSES

Level = Literal["trace", "debug", "info", "warning", "error", "critical"]
End = Literal["completed", "failed", "cancelled"]

R = TypeVar("R")


class Done(Awaitable[None]):
    """The result of a call that is done already."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


class Calls(Generic[R]):
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
        labels: Mapping[str, str] | None = None,
        parent_run_id: str | None = None,
        join: bool = True,
        handle_signals: bool = False,
        resume: Resume = "allow",
        job: str | None = None,
        mode: Mode | None = None,
        url: str | None = None,
        token: str | None = None,
        offline: bool = False,
        flush_seconds: float = FLUSH_SECONDS,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        """`run_id` is a UUID or a key, and names the run's directory in `runs_dir`.

        The server is `url`, else what `RUNCAST_URL` or the local server's credentials.json say;
        without any, or `offline`, only files are written (`runcast sync` sends them later); with
        `mode="disabled"` (or `RUNCAST_MODE=disabled`) nothing is. The end waits as long as the server
        goes on taking what isn't sent yet, and `flush_seconds` when it doesn't. A run whose record is
        unfinished goes on, unless `resume="never"`; with `resume="must"` nothing is recorded where there is
        none. A `job` is a name for runs that come again: each start is a run of its own, `nightly-1`,
        `nightly-2` …, with the label `job`; a `run_id` goes before it. `capture_output` also records what the
        program prints.
        `handle_signals`: SIGTERM cancels the run, and does then what it did before.

        Under `runcast exec` a tracker without a `run_id` takes part in the command's run, and doesn't end
        it; one with another `run_id`, or with `join=False`, is a child of it.
        """
        settings = Settings(
            run_id=run_id_of(run_id),
            project=text_of(project),
            root=resolved_runs_dir(),
            fields={
                "name": name,
                "steps": steps,
                "phase": phase,
                "current_step": current_step,
                "agent_type": agent_type,
                "agent_name": agent_name,
                "task_id": task_id,
                "input": input,
                "metadata": metadata,
                "labels": labels,
                "parent_run_id": parent_run_id,
            },
            json_logs=acceptable.truth(json_logs),
            captures=acceptable.truth(capture_output),
            resume=resume if type(resume) is str else "allow",
            job=text_of(job),
            handles_signals=acceptable.truth(handle_signals),
            flush_seconds=seconds_of(flush_seconds, FLUSH_SECONDS),
            heartbeat_seconds=seconds_of(heartbeat_seconds, HEARTBEAT_SECONDS),
        )
        settings.take_root(runs_dir)
        settings.take_surroundings(
            url, token, mode_of(mode, settings, is_offline=offline), may_join=acceptable.truth(join)
        )
        self._session = Session(settings)
        self._tokens: tuple[Any, Any] = (None, None)

    @property
    def run_id(self) -> str | None:
        """The run's id, a UUID; None before it has begun, or where nothing could be written."""
        recorder = self._session.recorder
        return recorder.run_id if recorder else None

    @property
    def key(self) -> str | None:
        """The run's key, which names its directory; None for a run without one."""
        recorder = self._session.recorder
        return recorder.run["key"] if recorder else None

    @property
    def url(self) -> str | None:
        """Where people see the run; None without a server, or before it has begun."""
        server = self._session.settings.server
        return f"{server.url}/ui/runs/{self.run_id}" if server and self.run_id else None

    @property
    def directory(self) -> Path | None:
        """Where the run's files are."""
        recorder = self._session.recorder
        return recorder.directory.path if recorder else None

    @property
    def cancelled(self) -> bool:
        """Whether the run was cancelled at the server; learnt within `heartbeat_seconds`."""
        return self._session.is_cancelled

    @property
    def unsent_bytes(self) -> int:
        """What the server didn't have yet when the run ended; `runcast sync` sends it."""
        return self._session.unsent_bytes

    def __repr__(self) -> str:
        recorder = self._session.recorder
        if recorder is None:
            return f"<{type(self).__name__} not begun>"
        where = self.url or recorder.directory.path
        named = self.key or self.run_id
        return f"<{type(self).__name__} {named} {recorder.run['status']} {where}>"

    def _repr_html_(self) -> str:
        """How notebooks show it: with a link."""
        text = html.escape(repr(self))
        return f'<a href="{html.escape(self.url)}" target="_blank">{text}</a>' if self.url else text

    def emit(
        self,
        stage: str,
        message: str = "",
        percent: float | None = None,
        step: int | None = None,
        total_steps: int | None = None,
    ) -> R:
        """Progress. A stage that is one of the run's steps also makes it the current one."""
        numbers = {"percent": percent, "step": step, "total_steps": total_steps}
        return self._record(lambda recorder: recorder.progress(stage, message, **numbers))

    def log(
        self,
        message: str,
        *,
        level: Level | str = "info",
        agent_name: str | None = None,
        event_type: str | None = None,
        payload: Any = None,
        ts: datetime | float | str | None = None,
    ) -> R:
        """One log entry; `ts` is its time, if that isn't now: seconds since 1970 or ISO-8601, too."""
        self._session.log(message, level, agent_name, event_type, payload, ts)
        return self._result()

    def lines(self, source: str, texts: Sequence[str]) -> R:
        """Lines of a program's output, as they are; `source` is stdout, stderr, a file's name …"""
        return self._record(lambda recorder: recorder.lines(source, texts))

    def artifact(
        self,
        step_name: str,
        content: Any = None,
        *,
        path: str | os.PathLike[str] | None = None,
        media_type: str | None = None,
    ) -> R:
        """An output of a step: JSON, text, bytes, a file (which is copied) or a folder (which becomes a
        zip archive). A `pathlib.Path` as content is the file there."""
        return self._record(
            lambda recorder: recorder.artifact(step_name, Source.of(content, path, media_type))
        )

    def step(self, name: str) -> R:
        """The run has reached a step. One that the run didn't name at its beginning is progress."""
        return self._record(lambda recorder: recorder.update(current_step=name))

    def update(self, **fields: Any) -> R:
        """Other fields of the run: `status` (`running`, `awaiting_feedback`), `name`, `metadata`, `labels`,
        `pr_url`, `result`; any other is kept in its metadata. A terminal status ends the run."""
        status = None
        if fields.get("status") is not None:
            status = messages.status(fields["status"], TERMINAL_STATUSES)
        if status is not None:
            ends = {name: fields[name] for name in ("result", "pr_url") if name in fields}
            self._session.end(status, fields.get("error"), **ends)
            return self._result()
        return self._record(lambda recorder: recorder.update(**fields))

    def event(self, name: str, data: dict[str, Any]) -> R:
        """An event of one's own, `x:<name>`, with up to 64 KiB of JSON."""
        return self._record(lambda recorder: recorder.custom(name, data))

    def _ask(
        self,
        title: str,
        options: Sequence[Any] | None,
        timeout: float | None,
        fields: dict[str, Any],
    ) -> Waiting | None:
        """Writes a question to the spool; what there is to wait for, None without a server."""
        seconds = seconds_to_answer(timeout)
        question = question_of(title, options, seconds, fields)
        self._record(lambda recorder: recorder.ask(question))
        return Waiting(question["id"], seconds) if self._session.is_fed else None

    def metric(self, name: str, value: float, step: int | None = None) -> R:
        """A number that is measured again and again: a point of a series, of which a run keeps at most 256
        with 100,000 points each. The last one of each name is in the run's `metrics`, and at its end in
        `metadata.summary`. What is no finite number is kept as an event, `x:metric`."""
        named = acceptable.metric(name)
        number = acceptable.number(value)
        self._session.summary[named] = value if number is None else number
        if number is None:
            data = {"name": named, "value": value, "step": acceptable.whole(step)}
            return self._record(lambda recorder: recorder.custom("metric", data))
        if self._session.takes_point(named):
            self._record(lambda recorder: recorder.measured(named, number, step))
        return self._result()

    def summary(self, **values: Any) -> R:
        """What the run comes to, in its `metadata.summary`."""
        self._session.summary.update(values)
        known = dict(self._session.summary)
        return self._record(lambda recorder: recorder.update(metadata={"summary": known}))

    def label(self, **labels: str) -> R:
        """Labels by which runs are found: `run.label(model="large", team="search")`."""
        return self._record(lambda recorder: recorder.update(labels=labels))

    def span(
        self, name: str, *, kind: str = "span", input: Any = None, agent_name: str | None = None
    ) -> Span:
        """A part of the run, with its duration and how it ended: `with run.span("search") as span: …`.
        `kind="tool"` is a tool's call."""
        named = acceptable.name(name) or "-"
        return Span(self, named, acceptable.name(kind) or "span", input, agent_name)

    def child(self, name: str | None = None, **fields: Unpack[RunOptions]) -> Self:
        """A run of its own that belongs to this one; `fields` as for any run."""
        self._session.begin()
        settings = self._session.settings
        server = settings.server
        given: dict[str, Any] = {
            "name": name,
            "project": settings.project,
            "runs_dir": settings.root,
            "parent_run_id": self.run_id,
            "join": False,
            "url": server.url if server else None,
            "token": server.token if server else None,
            "offline": server is None,
            "mode": "disabled" if settings.is_disabled else None,
        }
        return type(self)(**{**given, **fields})

    def expect_next_in(self, seconds: float) -> R:
        """Nothing may be heard for so long: until then, or until the next call, the run does not count as
        stalled."""
        known = acceptable.whole(seconds, 1, 7 * 86_400)
        if known is not None:
            self._session.expect_next_in(known)
        return self._result()

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process it takes part in the same run; the token isn't in the pickle."""
        self._session.begin()
        server = self._session.settings.server
        directory = self.directory
        root = str(directory.parent) if directory else None
        settings = self._session.settings
        url = server.url if server else None
        mode = "disabled" if settings.is_disabled else None
        return rejoined, (type(self), self.run_id, root, settings.project, url, mode)

    def _enter(self) -> None:
        self._tokens = (_current.enter(self), current_session.enter(self._session))

    def _leave(self) -> None:
        run, session = self._tokens
        self._tokens = (None, None)
        _current.leave(self, run)
        current_session.leave(self._session, session)

    def _record(self, write: Callable[[Recorder], object]) -> R:
        self._session.record(write)
        return self._result()

    def _result(self) -> R:
        raise NotImplementedError


class RunTracker(Calls[None]):
    """A run, for programs that block.

        with RunTracker(project="demo", run_id="my-run") as run:
            run.emit("spec", "Generating spec", percent=10)

    Leaving the block marks the run completed, or failed with the exception's reason; Ctrl-C and
    cancelled tasks mark it cancelled. It can be used from any thread, in signal handlers, and in forked
    children, where it adds to the same run; only the process that began the run ends it.
    """

    def start(self) -> Self:
        """Begins the run. Entering the block, and the first call, do the same."""
        self._session.begin()
        return self

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
        try:
            waiting = self._ask(title, options, timeout, question)
            server = self._session.settings.server
            if waiting is None or server is None:
                return UNREACHABLE
            answered: Answer = _feeding().answer(server, waiting)
            return answered
        except Exception as error:  # the SDK's outermost line (`never_raise`)
            self._session.told("ask", error)
            return UNREACHABLE

    def finish(
        self, status: End = "completed", error: str | None = None, **more: Unpack[RunEnd]
    ) -> None:
        """Ends the run: `completed`, `failed` or `cancelled`; `more`: `result`, `pr_url`."""
        self._session.end(status, error, **_ends(more))

    def flush(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Waits until the server has everything, for at most this many seconds; answers whether it has.
        Without a server there is nothing to wait for."""
        return self._session.flush(seconds_of(timeout, FLUSH_SECONDS)) == 0

    def exec(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
    ) -> int:
        """Runs a command whose output becomes lines of the run; answers its exit code (128 + n after signal
        n, 127 if it can't be started). Where the run is cancelled, or the time is over, it is stopped.
        Trackers in it take part in this run."""
        self._session.begin()
        learnt = {"RUNCAST_RUN_ID": self.run_id, "RUNCAST_RUNS_DIR": self._runs_dir()}
        more = {name: value for name, value in learnt.items() if value}
        try:
            return execute(
                command,
                self.lines,
                environ={**os.environ, **more, **(env or {})},
                cwd=cwd,
                is_cancelled=lambda: self.cancelled,
                timeout=timeout,
            )
        except Exception as error:  # the SDK's outermost line: a list may be empty, or a host's own
            self.log(f"{acceptable.printable(command)}: {as_text(error)}", level="error")
            return 127

    def _runs_dir(self) -> str | None:
        return str(self.directory.parent) if self.directory else None

    def __enter__(self) -> Self:
        self._enter()
        try:
            return self.start()
        except BaseException as error:  # what a signal handler raises: the block isn't entered
            self.__exit__(type(error), error, None)
            raise

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._leave()
        self._session.end(*outcome(error))

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
        await _event_loop().in_thread(self._session.begin)
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
            server = self._session.settings.server
            if waiting is None or server is None:
                return UNREACHABLE
            answered: Answer = await _feeding().answer_async(server, waiting)
            return answered
        except Exception as error:  # the SDK's outermost line (`never_raise`)
            self._session.told("ask", error)
            return UNREACHABLE

    async def finish(
        self, status: End = "completed", error: str | None = None, **more: Unpack[RunEnd]
    ) -> None:
        """Ends the run: `completed`, `failed` or `cancelled`; `more`: `result`, `pr_url`."""
        await _event_loop().in_thread(self._session.end, status, error, **_ends(more))

    async def flush(self, timeout: float = FLUSH_SECONDS) -> bool:  # noqa: ASYNC109 — not the loop's
        """As `RunTracker.flush`; the event loop goes on meanwhile."""
        seconds = seconds_of(timeout, FLUSH_SECONDS)
        unsent: int = await _event_loop().in_thread(self._session.flush, seconds)
        return unsent == 0

    async def __aenter__(self) -> Self:
        self._enter()
        try:
            await _event_loop().begin(self._session.begin, self._session.end)
        except BaseException:  # a task that is cancelled here doesn't enter the block
            self._leave()
            raise
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._leave()
        await _event_loop().to_its_end(self._session.end, *outcome(error))

    def _result(self) -> Awaitable[None]:
        return Done()


def current_run() -> RunTracker | AsyncRunTracker | None:
    """The run in whose `with` the code at hand is; None without one.

    Tasks inherit it. In a thread without one it is the only run that is live in the process, and in a
    command of `runcast exec` the command's run.
    """
    return _current.get() or _run_of_command(os.getpid())


_current: Current[Any] = Current("runcast_run")


@functools.cache
def _run_of_command(_: int) -> RunTracker | None:
    """The run of the command that this process is, joined once in each process."""
    return RunTracker().start() if os.environ.get("RUNCAST_RUN_ID") else None


def rejoined(
    kind: type[Calls[Any]],
    run_id: str | None,
    root: str | None,
    project: str | None,
    url: str | None,
    mode: Mode | None = None,
) -> Calls[Any]:
    """A tracker of another process, which takes part in the run. It feeds the run only if this process
    finds the same server by itself."""
    made = kind(run_id, runs_dir=root, project=project, join=False, mode=mode)
    settings = made._session.settings
    settings.joins = run_id
    if settings.server is not None and settings.server.url != url:
        settings.server = None
    return made


def _event_loop() -> Any:
    """`_tracking.event_loop`, which programs without an event loop never import."""
    return importlib.import_module("runcast._tracking.event_loop")


def _feeding() -> Any:
    """`_tracking.feeding`, which a run with a server has imported."""
    return importlib.import_module("runcast._tracking.feeding")


def _ends(more: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's end takes; anything else is left out rather than costing the end."""
    return {name: more[name] for name in ("result", "pr_url") if name in more}
