"""The examples report a run each, against a real server. Go's needs a toolchain: `make examples`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.acceptance.test_js_recorder import built
from tests.commands import node
from tests.processes import Up
from tests.waiting import wait_for

from runcast import Client

__all__ = ["built"]

EXAMPLES = Path(__file__).parents[2] / "examples"


def output(command: list[str], environ: dict[str, str], cwd: Path) -> list[str]:
    done = subprocess.run(
        command, env=os.environ | environ, cwd=cwd, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(("name", "program"), [("report.py", sys.executable), ("report.sh", "sh")])
def test_a_program_reports_a_run(
    name: str, program: str, server_environ: dict[str, str], tmp_path: Path
) -> None:
    said = output([program, str(EXAMPLES / name)], server_environ, tmp_path)
    assert said[0].startswith("status: completed")
    assert said[1:] == ["line: fetching 3 pages", "line: counting words"]


def installed(built: Path, name: str, folder: Path) -> Path:
    """An example in a folder where @runcast/client is installed."""
    package = folder / "node_modules" / "@runcast" / "client"
    package.mkdir(parents=True)
    exported = {"name": "@runcast/client", "type": "module", "exports": "./built/index.js"}
    (package / "package.json").write_text(json.dumps(exported))
    (package / "built").symlink_to(built.parent)
    program = folder / name
    program.write_text((EXAMPLES / name).read_text())
    return program


def test_javascript_reports_a_run(
    built: Path, server_environ: dict[str, str], tmp_path: Path
) -> None:
    program = installed(built, "report.mjs", tmp_path)
    said = output([node(), str(program)], server_environ, tmp_path)
    assert said[0] == 'status: completed {"words":1204}'
    assert said[1:] == ["line: fetching 3 pages", "line: counting words"]


def test_plain_redis_reports_a_run(local_server: Up, client: Client, tmp_path: Path) -> None:
    environ = {"RUNCAST_REDIS_URL": local_server.credentials["redis_url"]}
    said = output([sys.executable, str(EXAMPLES / "plain_redis.py")], environ, tmp_path)
    assert said == ["sent: 6 messages"]

    def completed() -> bool:
        runs = client.list_runs(key="report", status="completed")["runs"]
        return any(run["result"] == {"words": 1204} for run in runs)

    wait_for(completed, "the messages to be applied")
