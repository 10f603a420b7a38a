"""Real server processes, as a person starts them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.waiting import wait_for

RUNCAST = str(Path(sys.executable).parent / "runcast")
START_SECONDS = 60.0
STOP_SECONDS = 30.0


@dataclass
class Process:
    """A `runcast …` in a directory of its own, its output in files there."""

    directory: Path
    arguments: list[str]
    environ: Mapping[str, str] = field(default_factory=dict)
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns at once."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("RUNCAST_")}
        with self.stdout.open("ab") as out, self.stderr.open("ab") as err:
            self.running = subprocess.Popen(
                [RUNCAST, *self.arguments],
                cwd=self.directory,
                env={**inherited, **self.environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def stdout(self) -> Path:
        return self.directory / f"{self.arguments[0]}.out"

    @property
    def stderr(self) -> Path:
        return self.directory / f"{self.arguments[0]}.err"

    @property
    def said(self) -> str:
        """Everything that it has said so far."""
        return self.stdout.read_text() + self.stderr.read_text()

    @property
    def has_ended(self) -> bool:
        assert self.running is not None
        return self.running.poll() is not None

    def ended(self, seconds: float = START_SECONDS) -> int:
        """Wait for its end; its exit code, negative for a signal."""
        assert self.running is not None
        return self.running.wait(seconds)

    def signal(self, number: signal.Signals) -> None:
        assert self.running is not None
        self.running.send_signal(number)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.signal(signal.SIGTERM)
        return self.ended(STOP_SECONDS)

    def kill(self) -> None:
        """`kill -9`."""
        self.signal(signal.SIGKILL)
        self.ended()

    def cleanup(self) -> None:
        """However a test ended: nothing of it goes on running."""
        if self.running is not None and self.running.poll() is None:
            self.running.terminate()
            try:
                self.running.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.running.kill()
                self.running.wait()


@dataclass
class Up(Process):
    """`runcast up` on its own data, on any free port."""

    @classmethod
    def at(cls, directory: Path, *flags: str, **environ: str) -> "Up":
        return cls(directory, ["up", "--port", "0", *flags], environ)

    def start_ready(self) -> "Up":
        """Start it and wait until it is ready."""
        self.start()
        wait_for(self.is_ready, "runcast up to be ready", lambda: self.said)
        return self

    @property
    def data(self) -> Path:
        return self.directory / ".runcast"

    @property
    def credentials(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.data / "credentials.json").read_bytes())
        return found

    @property
    def url(self) -> str:
        return self.credentials["url"]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.credentials['token']}"}

    def client(self) -> httpx.Client:
        """An administrator's client."""
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=30)

    def is_ready(self) -> bool:
        assert self.running is not None
        assert not self.has_ended, self.said
        try:
            if int(self.credentials["pid"]) != self.running.pid:
                return False
            return httpx.get(f"{self.url}/ready", timeout=5).status_code == 200
        except (FileNotFoundError, httpx.TransportError):
            return False
