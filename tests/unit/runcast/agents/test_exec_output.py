"""What `runcast exec` keeps of an agent's output: no secrets, and the rest as it was said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runcast import RunTracker
from runcast.agents.streams import entries
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


def said(text: str) -> bytes:
    record = {"type": "assistant", "message": {"content": [{"type": "text", "text": text}]}}
    return json.dumps(record).encode() + b"\n"


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that holds this word can't be read, for a reason that no one has thought of."""
    spoken = entries.spoken

    def fail(text: str) -> str:
        if "unreadable" in text:
            raise RuntimeError(f"no words for {text}")
        return spoken(text)

    monkeypatch.setattr(entries, "spoken", fail)


def recorded(folder: Path, *pieces: bytes) -> list[str]:
    """The log of a run whose agent wrote these pieces."""
    with RunTracker("r", runs_dir=folder, offline=True) as tracker:
        output = AgentOutput(tracker, ["claude"])
        output.feed(b'{"type":"system","subtype":"init","session_id":"s"}\n')
        for piece in pieces:
            output.feed(piece)
        output.finish()
    return (folder / "r" / "logs.txt").read_text().splitlines()[:-1]


@pytest.mark.usefixtures("unreadable")
@pytest.mark.parametrize("size", [1_000_000, 70, 1])
def test_a_record_that_fails_within_a_chunk_costs_no_line_and_doubles_none(
    tmp_path: Path, size: int
) -> None:
    unknown = b'{"type":"something-new"}\n'
    failing = said(f"unreadable {SECRET}")
    whole = said("first") + unknown + failing + said("third") + b"\nthe key is " + SECRET.encode()
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    first, warning, *rest = recorded(tmp_path, *pieces)
    assert first.endswith("first")
    assert "from here on: RuntimeError('no words for unreadable [redacted]')" in warning
    plain = failing.decode().strip().replace(SECRET, "[redacted]")
    assert rest == [
        *(unknown.decode().strip(), plain, said("third").decode().strip()),
        *("", "the key is [redacted]"),
    ]


@pytest.mark.usefixtures("unreadable")
def test_a_last_record_that_fails_is_kept(tmp_path: Path) -> None:
    last = said("unreadable").strip()
    first, warning, line = recorded(tmp_path, said("first") + last)
    assert first.endswith("first")
    assert "The end of the output is recorded as it is: RuntimeError(" in warning
    assert line == last.decode()
