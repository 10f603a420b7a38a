"""The first day with the API that `docs/first-day.md` shows: in curl, Python and JavaScript, against a real
server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.acceptance.test_examples import installed, output
from tests.acceptance.test_js_recorder import built
from tests.commands import node

__all__ = ["built"]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "first-day.md"
SCRIPTS = {"first_day.sh": ["sh"], "first_day.py": [sys.executable]}
SHOWN = [*SCRIPTS, "first_day.mjs"]
SAID = {
    "first_day.sh": [
        'found: {"runs":[{"number":2,"status":"running"}],"total":1,"next_cursor":null}',
        "compared: 4 members differ",
        'second page: {"runs":[{"number":1}],"total":2,"next_cursor":null}',
        "log: hello",
        "deleted: 1",
    ],
    "first_day.py": [
        "found: [2]",
        "compared: ['last_line_number', 'labels.model', 'input.temperature', 'metrics.loss']",
        "paged: [2, 1]",
        "exported: True",
        "log: hello",
        "deleted: True",
    ],
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_first_day(name: str, server_environ: dict[str, str]) -> None:
    script = ROOT / "examples" / name
    done = subprocess.run(
        [*SCRIPTS[name], str(script)],
        env=os.environ | server_environ,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert [line for line in SAID[name] if line not in said] == [], done.stdout
    [events] = [line for line in said if line.startswith("events of the second run: ")]
    assert "0" not in events.split()


def test_a_first_day_in_javascript(
    built: Path, server_environ: dict[str, str], tmp_path: Path
) -> None:
    program = installed(built, "first_day.mjs", tmp_path)
    said = output([node(), str(program)], server_environ, tmp_path)
    assert said == [
        "found: [2]",
        'compared: ["last_line_number","labels.model","input.temperature","metrics.loss"]',
        "paged: [2,1]",
        "events of the second run: run:created agent:started run:updated agent:log run:updated "
        "run:status_changed agent:completed",
        "exported: true",
        "log: hello",
        "deleted: true",
    ]


@pytest.mark.parametrize("name", SHOWN)
def test_the_page_shows_what_is_run(name: str) -> None:
    assert (ROOT / "examples" / name).read_text().strip() in PAGE.read_text()
