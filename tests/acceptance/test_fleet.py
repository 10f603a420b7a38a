"""Sessions of all agents at once, told by `watch`, hooks and `exec`: what is shown is what is true."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from tests.commands import RUNCAST
from tests.fleet.fleet import Fleet, differences
from tests.processes import Process, Up
from tests.waiting import wait_for

SESSIONS = int(os.environ.get("RUNCAST_FLEET_SESSIONS", "20"))
"""`make torture` takes fifty."""
SEED = int(os.environ.get("RUNCAST_FLEET_SEED", "15"))
_PLACES = {name for name in os.environ if name.startswith(("RUNCAST_", "XDG_", "GOOSE_", "CLINE_"))}
_PLACES |= {"CLAUDE_CONFIG_DIR", "CODEX_HOME", "COPILOT_HOME"}
KILLS = int(os.environ.get("RUNCAST_FLEET_KILLS", "2"))


@pytest.mark.timeout(400)
def test_what_is_shown_of_many_sessions_is_what_they_did(local_server: Up, tmp_path: Path) -> None:
    """The watcher dies by SIGKILL again and again meanwhile: nothing is lost or comes twice."""
    environ = {
        **{name: value for name, value in os.environ.items() if name not in _PLACES},
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "RUNCAST_URL": local_server.url,
        "RUNCAST_TOKEN": local_server.credentials["token"],
    }
    project = f"fleet-{SEED}"
    with local_server.client() as http:
        http.post("/projects", json={"name": project, "slug": project}).raise_for_status()
        for agent in ("claude", "codex"):
            connect = [RUNCAST, "connect", agent, "-p", project]
            subprocess.run(connect, env=environ, check=True, capture_output=True)
        hook = str(tmp_path / "config" / "runcast" / "runcast-hook")
        fleet = Fleet(tmp_path, SEED, SESSIONS, hook, environ, project)
        watcher = Process(tmp_path, ["watch", "--since", "all", "-p", project], environ)
        kills = sorted(fleet.chance.sample(range(1, SESSIONS * 6), KILLS))

        def between(number: int) -> None:
            if number in kills:
                watcher.kill()
                watcher.start()

        found = ["nothing was compared"]

        def is_true() -> bool:
            time.sleep(0.5)  # between two comparisons, which ask for every run
            found[:] = differences(http, project, fleet.truths)
            return not found

        watcher.start()
        announced = tmp_path / "config" / "runcast" / "watching.json"
        try:
            wait_for(announced.exists, "the watcher", lambda: watcher.said)
            fleet.live(between)
            wait_for(is_true, "the truth", lambda: "\n".join(found), seconds=240)
        finally:
            watcher.kill()
            fleet.close()
