"""A worker that is real: claims subtasks, runs each one's command as an agent, and reports all of it.

    python examples/worker.py w1 --project demo

A subtask's `input` says what to do: `{"command": ["make", "docs"]}`. The command is run with the model's
name in `AGENT_MODEL`: first with the primary model, and where it fails with the fallback. A circuit
breaker watches the primary: after three failures in a row it opens, the fallback is used at once, and
after a while one subtask tries the primary again.

Runs, their logs, progress, artifacts and heartbeats go through `RunTracker` (files first: a server that is
away loses nothing). A heartbeat also extends the lease under which the subtask is this worker's. Status and
runtime events go through `Worker` and `RuntimeEventSink`, best effort. Start as many as you like; kill one,
and what it was doing goes to another when its lease ends.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from runcast import Client, RuncastError, RunTracker
from runcast.errors import Conflict
from runcast.reasons import Reason
from runcast.runtime import RuntimeEventSink
from runcast.worker import BreakerSnapshot, Worker

PROVIDER = "example"
PRIMARY, FALLBACK = "model-large", "model-small"
Json = Mapping[str, Any]


@dataclass
class Breaker:
    """Opens after `threshold` failures in a row; after `cooldown_seconds` lets one trial through."""

    threshold: int = 3
    cooldown_seconds: float = 5.0
    failures: int = 0
    opened_at: float | None = None

    @property
    def is_open(self) -> bool:
        return self.opened_at is not None

    def may_try(self) -> bool:
        return self.opened_at is None or time.monotonic() - self.opened_at >= self.cooldown_seconds

    def succeeded(self) -> None:
        self.failures, self.opened_at = 0, None

    def failed(self) -> None:
        self.failures += 1
        if self.failures >= self.threshold:
            self.opened_at = time.monotonic()

    def snapshot(self) -> BreakerSnapshot:
        reason = f"{self.failures} failures of {PRIMARY} in a row" if self.is_open else None
        return BreakerSnapshot(self.is_open, reason)


@dataclass
class Agent:
    """Works on one subtask after the other."""

    client: Client
    worker: Worker
    sink: RuntimeEventSink
    breaker: Breaker
    lease_seconds: float
    runs_dir: str | None = None
    stopping: threading.Event = field(default_factory=threading.Event)

    def work(self, project: str, *, drain: bool) -> None:
        """Claims and works until told to stop; with `drain` until no task of the project is active."""
        while not self.stopping.is_set():
            claimed = self.client.claim_subtask(
                self.worker.worker_id, project=project, lease_s=self.lease_seconds
            )
            if claimed is not None:
                self.attempt(project, claimed["subtask"], claimed["run"])
            elif drain and self.client.list_tasks(project, status="ACTIVE")["total"] == 0:
                return
            else:
                self.tell("worker", "HEARTBEAT", Reason.ALIVE, self.worker.worker_id)
                self.stopping.wait(0.3)

    def attempt(self, project: str, subtask: Json, run: Json) -> None:
        """One subtask, from its claim to its end, whatever happens."""
        task_id = subtask["id"]
        self.tell("dispatcher", "TASK", Reason.CLAIMED, task_id, task_id)
        with (
            self.worker.task(task_id),
            RunTracker(
                run["id"],
                project=project,
                runs_dir=self.runs_dir,
                agent_name=self.worker.worker_id,
                heartbeat_seconds=self.lease_seconds / 3,
            ) as tracker,
        ):
            tracker.emit("work", subtask["title"], percent=0)
            model = self.run_models(tracker, subtask)
            self.settle(tracker, subtask, run, model)

    def run_models(self, tracker: RunTracker, subtask: Json) -> str | None:
        """The model with which the command succeeded, or None."""
        task_id = subtask["id"]
        for model in self.route(task_id):
            self.tell("model_adapter", "CALL", Reason.ROUTE_CHOSEN, model, task_id)
            is_fallback = model == FALLBACK
            if is_fallback:
                self.tell("provider_runtime", "RETRY", Reason.SECOND_TRY, model, task_id)
            code = self.run_command(tracker, subtask["input"]["command"], model, task_id)
            succeeded = code == 0
            if not is_fallback:
                self.note_primary(succeeded, task_id)
            self.tell(
                "provider_runtime",
                "FALLBACK" if is_fallback else "CALL",
                Reason.OK if succeeded else Reason.PROVIDER_FAILED,
                f"{PROVIDER}/{model}",
                task_id,
                provider=PROVIDER,
                model=model,
            )
            if succeeded or tracker.cancelled:
                return model if succeeded else None
        return None

    def route(self, task_id: str) -> Iterator[str]:
        """The models to try, in order."""
        if self.breaker.may_try():
            if self.breaker.is_open:
                self.tell("execution", "BREAKER", Reason.BREAKER_HALF_OPEN, PRIMARY, task_id)
            yield PRIMARY
            why = Reason.PRIMARY_FAILED
        else:
            why = Reason.CIRCUIT_OPEN
        self.tell("model_adapter", "FALLBACK", why, FALLBACK, task_id)
        yield FALLBACK

    def note_primary(self, succeeded: bool, task_id: str) -> None:
        """Moves the breaker; the server tells that it opened or closed from the worker's status."""
        was_open = self.breaker.is_open
        if succeeded:
            self.breaker.succeeded()
        else:
            self.breaker.failed()
        if self.breaker.is_open != was_open:
            self.worker.report()

    def run_command(self, tracker: RunTracker, command: list[str], model: str, task_id: str) -> int:
        """Runs the command as an agent: its lines are the run's log. Its exit code."""
        environ = {**os.environ, "AGENT_MODEL": model, "RUNCAST_RUN_ID": tracker.run_id or ""}
        with subprocess.Popen(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as agent:
            assert agent.stdout is not None
            threading.Thread(target=stop_if_cancelled, args=(agent, tracker), daemon=True).start()
            lines = 0
            for line in agent.stdout:
                lines += 1
                tracker.lines("stdout", [line.rstrip("\n")])
            code = agent.wait()
        reason = Reason.EXIT_ZERO if code == 0 else Reason.EXIT_NONZERO
        self.tell("tool_runtime", "TOOL_CALL", reason, command[0], task_id, code=code)
        self.tell(
            "tool_runtime", "TOOL_LOOP", Reason.LOOP_FINISHED, command[0], task_id, lines=lines
        )
        tracker.emit("work", f"{command[0]} with {model}: exit code {code}", percent=90)
        return code

    def settle(self, tracker: RunTracker, subtask: Json, run: Json, model: str | None) -> None:
        """Ends the run, and moves the subtask if it is still ours."""
        task_id, mine = subtask["id"], {"worker_id": self.worker.worker_id, "run_id": run["id"]}
        if model is not None:
            tracker.artifact("result", {"model": model, "attempt": subtask["attempt"]})
            tracker.finish("completed", result={"model": model})
            move, reason = "complete", Reason.TASK_COMPLETED
        elif tracker.cancelled:
            # With its run the subtask was cancelled: it is FAILED already.
            tracker.finish("cancelled")
            self.tell("execution", "TASK", Reason.TASK_CANCELLED, task_id, task_id)
            return
        else:
            tracker.finish("failed", "no model brought the command to an end")
            move, reason = "fail", Reason.TASK_FAILED
        try:
            self.client.move_subtask(task_id, move, reason=str(reason), **mine)
        except Conflict:
            reason = Reason.LEASE_LOST
        self.tell("execution", "TASK", reason, task_id, task_id)

    def tell(
        self,
        layer: str,
        operation: str,
        reason: Reason,
        entity_id: str,
        task_id: str | None = None,
        **metadata: Any,
    ) -> None:
        self.sink.record(
            layer, operation, str(reason), entity_id, task_id=task_id, metadata=metadata
        )


def stop_if_cancelled(agent: subprocess.Popen[str], tracker: RunTracker) -> None:
    """Ends the command when its run is cancelled; the heartbeat learns that."""
    while agent.poll() is None:
        if tracker.cancelled:
            agent.terminate()
        time.sleep(0.1)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A worker that runs the commands of subtasks.")
    parser.add_argument("worker", help="the worker's id, unique among all workers")
    parser.add_argument("--project", default="default")
    parser.add_argument("--lease", type=float, default=30.0, help="seconds")
    parser.add_argument("--interval", type=float, default=15.0, help="seconds between statuses")
    parser.add_argument(
        "--cooldown", type=float, default=5.0, help="of the circuit breaker, seconds"
    )
    parser.add_argument("--runs-dir")
    parser.add_argument("--drain", action="store_true", help="end when no task is active")
    return parser.parse_args()


def main() -> None:
    """Until Ctrl-C or SIGTERM: what was begun is finished first."""
    given = read_arguments()
    breaker = Breaker(cooldown_seconds=given.cooldown)
    with (
        Client() as client,
        RuntimeEventSink(worker_id=given.worker) as sink,
        Worker(
            given.worker,
            "example_runner",
            breaker=breaker.snapshot,
            interval_seconds=given.interval,
            metadata={"pid": os.getpid()},
        ) as worker,
    ):
        agent = Agent(client, worker, sink, breaker, given.lease, given.runs_dir)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: agent.stopping.set())
        with contextlib.suppress(KeyboardInterrupt):
            agent.work(given.project, drain=given.drain)


if __name__ == "__main__":
    try:
        main()
    except RuncastError as error:
        raise SystemExit(f"worker: {error}") from error
