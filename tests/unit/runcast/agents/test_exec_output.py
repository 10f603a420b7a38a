"""What `runcast exec` keeps of an agent's output: no secrets, and the rest as it was said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runcast import RunTracker
from runcast.cli.agent_output import AgentOutput

SECRET = "sk-ant-" + "a1B2" * 8


def test_secrets_stay_out_of_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNCAST_REDACT", "hunter[0-9]+")
    given = {"command": f"login {SECRET} hunter2"}
    blocks = [
        {"type": "text", "text": f"The key is {SECRET}."},
        {"type": "tool_use", "id": "1", "name": "Bash", "input": given},
    ]
    request = {"subtype": "can_use_tool", "tool_name": "Bash", "input": given}
    records = [
        {"type": "system", "subtype": "init", "session_id": "s"},
        {"type": "assistant", "message": {"content": blocks}},
        {"type": "control_request", "request": request},
    ]
    with RunTracker("r", runs_dir=tmp_path, offline=True) as tracker:
        output = AgentOutput(tracker, ["claude"])
        output.feed(b"".join(json.dumps(record).encode() + b"\n" for record in records))
        output.finish()
    spool = (tmp_path / "r" / "spool.jsonl").read_text()
    assert "The key is [redacted]." in spool
    assert "Bash: login [redacted] [redacted]" in spool
    assert '"attention":{"kind":"permission","summary":"Bash: login [redacted]' in spool
    assert '"attention":null' in spool, "nothing is waited for after the end"
    whole = "".join(p.read_text() for p in (tmp_path / "r").rglob("*") if p.is_file())
    assert SECRET not in whole
    assert "hunter2" not in whole


def test_output_that_can_not_be_made_sense_of_is_recorded_as_it_is(tmp_path: Path) -> None:
    def fail(_: bytes) -> None:
        raise RecursionError("too deep")

    with RunTracker("r", runs_dir=tmp_path, offline=True) as tracker:
        output = AgentOutput(tracker, ["claude"])
        output._reading.feed = fail  # type: ignore[method-assign, assignment]
        output.feed(b"one\ntw")
        output.feed(f"o\nthe key is {SECRET}".encode())
        output.finish()
    lines = (tmp_path / "r" / "logs.txt").read_text().splitlines()
    assert "too deep" in lines[0]
    assert lines[1:-1] == ["one", "two", "the key is [redacted]"]
