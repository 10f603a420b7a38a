"""Runs examples/go against a real server: `make examples`. `make test` doesn't, so it needs no Go."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.processes import Up

EXAMPLE = Path(__file__).parents[1] / "examples" / "go"


def main() -> None:
    """Vets, builds and runs it; fails where it doesn't report and read back its run."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "report"
        for command in (["vet", "./..."], ["build", "-o", str(program), "."]):
            subprocess.run(["go", *command], cwd=EXAMPLE, check=True)
        (Path(folder) / "server").mkdir()
        server = Up.at(Path(folder) / "server").start_ready()
        try:
            environ = {"RUNCAST_URL": server.url, "RUNCAST_TOKEN": server.credentials["token"]}
            done = subprocess.run(
                [program], env=os.environ | environ, check=True, capture_output=True, text=True
            )
        finally:
            server.stop()
    said = done.stdout.splitlines()
    expected = [
        "line: fetching 3 pages",
        "line: counting words",
        "status: completed map[words:1204]",
    ]
    if said[:-1] != expected:
        sys.exit(f"said {said}")
    sys.stdout.write(done.stdout)


if __name__ == "__main__":
    main()
