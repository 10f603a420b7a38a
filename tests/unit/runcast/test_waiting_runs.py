"""Runs that need a person and ask nothing here: none is overlooked, and what to do with them is said."""

from typing import Any

import httpx
import pytest

from runcast.cli import waiting_runs
from runcast.client.clients import Client


def run(number: int, kind: str = "permission", question: str | None = None) -> dict[str, Any]:
    attention = {"kind": kind, "question_id": question, "summary": None, "since": f"{number:06}"}
    return {"id": f"r{number}", "name": f"run {number}", "key": None, "metadata": None} | {
        "attention": attention
    }


def found(runs: list[dict[str, Any]]) -> waiting_runs.Found:
    """What is found where a server has these runs, the newest first."""

    def answer(request: httpx.Request) -> httpx.Response:
        limit, start = (int(request.url.params.get(name, 0)) for name in ("limit", "cursor"))
        end = start + limit
        cursor = str(end) if end < len(runs) else None
        return httpx.Response(200, json={"runs": runs[start:end], "next_cursor": cursor})

    transport = httpx.MockTransport(answer)
    with Client("http://127.0.0.1:9", "rc_token", transport=transport) as client:
        return waiting_runs.found(client, "demo")


def test_runs_with_a_question_hide_none_that_waits_elsewhere() -> None:
    asking = [run(number, question="q") for number in range(450)]
    assert [each["id"] for each in found([*asking, run(450)]).runs] == ["r450"]
    assert found(asking) == waiting_runs.Found([], is_all=True)


def test_more_than_are_looked_at_or_shown_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    waiting_runs.print_all(found([run(number) for number in range(waiting_runs.MOST_RUNS + 1)]))
    said = capsys.readouterr()
    assert said.out.count("\n") == waiting_runs.MOST_LINES
    assert said.err.splitlines() == [
        "4,800 more need you: runcast runs ls --attention",
        "Only the newest 5,000 runs that need a person were looked at.",
    ]


@pytest.mark.parametrize(
    ("kind", "does"),
    [("permission", "answer"), ("plan", "answer"), ("error", "look at"), ("budget", "look at")],
)
def test_only_what_is_asked_is_to_be_answered(
    capsys: pytest.CaptureFixture[str], kind: str, does: str
) -> None:
    waiting_runs.print_all(found([run(1, kind)]))
    assert capsys.readouterr().out == f"▲ {kind} run 1 ({does} it where it runs)\n"
