"""A delivery costs no more than it should, beside a loop in C and the server that most would write first."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(660)
def test_a_delivery_is_not_twice_as_dear() -> None:
    """A process of its own: it pins itself and the servers that it starts to processors."""
    command = [sys.executable, "-m", "bench.guard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
