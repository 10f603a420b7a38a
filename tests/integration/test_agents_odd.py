"""Hooks, questions and usage from someone who means harm: each refusal names a field, and nothing breaks."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.rest import Rest, serving
from tests.integration.test_agent_hooks import SAMPLES, sample
from tests.integration.test_questions import key, person

pytestmark = pytest.mark.anyio

ODD: list[Any] = [
    None, True, 7, -1, 2**53, -(2**63), 1e308, "", "\x00", "../..", "🤖" * 300, "x" * 70_000,
    [], [[]], [None, 7, {}], {}, {"a": [{}]}, {"": None}, {"id": {}}, "\u202eevil",
]  # fmt: skip
LINES = [
    (program, line)
    for program, name in (
        ("claude", "claude/hooks.jsonl"), ("codex", "codex/hooks.jsonl"),
        ("codex", "codex/notify.jsonl"), ("gemini", "gemini/hooks.jsonl"),
        ("opencode", "opencode/events.jsonl"),
    )
    for line in (SAMPLES / name).read_text().splitlines()
]  # fmt: skip
TRIES = 200


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


def changed(value: Any, chance: random.Random) -> Any:
    """The value with one of its members, at any depth, replaced by something odd, or left out."""
    whole = copy.deepcopy(value)
    place = whole
    while True:
        names: list[Any] = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        if not names:
            return whole
        name = chance.choice(names)
        if isinstance(place[name], dict | list) and place[name] and chance.random() < 0.7:
            place = place[name]
            continue
        if isinstance(place, dict) and chance.random() < 0.1:
            del place[name]
        else:
            place[name] = chance.choice(ODD)
        return whole


async def test_no_hook_is_a_fault_of_the_server(rest: Rest) -> None:
    headers = await key(rest, "reporter")
    chance = random.Random(15)
    for _ in range(TRIES):
        program, line = chance.choice(LINES)
        payload = changed(json.loads(line), chance)
        query = {"hold": chance.choice((0, 1)), "sync": chance.choice((0, 1))}
        said = await rest.admin.post(
            f"/agents/{program}/hooks", json=payload, params=query, headers=headers
        )
        assert said.status_code in (200, 422), (program, payload, said.text)
        if said.status_code == 200 and (asked := said.json().get("question_id")):
            dialect = {"opencode": "opencode", "codex": "codex-hook"}.get(program, "claude-hook")
            given = await _fitting(rest, asked, chance)
            answered = await rest.admin.post(f"/questions/{asked}/answer", json=given)
            assert answered.status_code in (200, 409, 422), (payload, given, answered.text)
            shown = await rest.admin.get(f"/questions/{asked}", params={"as": dialect})
            assert shown.status_code == 200, (payload, given, shown.text)


async def _fitting(rest: Rest, question: str, chance: random.Random) -> dict[str, Any]:
    """An answer that may fit."""
    shown = (await rest.admin.get(f"/questions/{question}")).json()
    if shown["parts"]:
        return {"data": {part["id"]: chance.choice(["UTC", ["UTC"], 7]) for part in shown["parts"]}}
    if shown["kind"] == "form":
        names = [*(shown["schema"].get("properties") or {}), "other"]
        return {"data": {name: chance.choice(ODD) for name in names[:3]}}
    options = shown["options"] or [{"id": "x"}]
    return {"option": chance.choice(options)["id"], "text": chance.choice([None, "so"])}


QUESTION: dict[str, Any] = {
    "kind": "form", "title": "Deploy?", "body": "b", "tool": {"name": "t", "input": {"a": 1}},
    "options": [{"id": "a", "label": "A", "role": "allow"}],
    "parts": [{"id": "1", "title": "t", "options": [{"id": "x", "label": "X"}]}],
    "schema": {"type": "object", "required": ["stage"], "properties": {
        "stage": {"type": "string", "enum": ["dev", "prod"], "minLength": 1, "maxLength": 9},
        "n": {"type": "number", "minimum": 1, "maximum": 9}}},
    "default": {"stage": "dev"}, "expires_in_s": 60, "on_expiry": "default", "dedupe_key": "d",
}  # fmt: skip


async def test_no_question_is_a_fault_of_the_server(rest: Rest) -> None:
    run = await rest.run(status="running")
    chance = random.Random(15)
    asked = 0
    for number in range(TRIES):
        base = dict(QUESTION, dedupe_key=str(number))
        base["kind"] = chance.choice(("form", "choice", "permission", "text", "plan"))
        if base["kind"] == "form":
            del base["parts"]
        else:
            del base["schema"], base["default"], base["on_expiry"]
        given = changed(base, chance)
        made = await rest.admin.post(f"/runs/{run}/questions", json=given)
        assert made.status_code in (200, 201, 409, 422), (given, made.text)
        if made.status_code != 201:
            continue
        asked += 1
        question = made.json()["id"]
        answer = await _fitting(rest, question, chance)
        replied = await rest.admin.post(f"/questions/{question}/answer", json=answer)
        assert replied.status_code in (200, 409, 422), (given, answer, replied.text)
        if replied.status_code == 422:
            assert replied.json()["errors"][0]["field"].startswith("body"), replied.text
            await rest.admin.post(f"/questions/{question}/cancel")
    assert asked > TRIES / 10


async def test_forms_are_held_to_their_schema(rest: Rest) -> None:
    run = await rest.run(status="running")
    schema = {"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string", "minLength": 2, "maxLength": 4},
        "size": {"oneOf": [{"const": "s", "title": "Small"}, {"const": "l", "title": "Large"}]},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
        "level": {"enum": [1, 2]}, "count": {"type": "integer"}}}  # fmt: skip
    new = {"kind": "form", "title": "Which?", "schema": schema}
    question = (await rest.admin.post(f"/runs/{run}/questions", json=new)).json()["id"]
    path = f"/questions/{question}/answer"
    for data, field in (
        ({}, "name"), ({"name": "x"}, "name"), ({"name": "xxxxx"}, "name"),
        ({"name": "ab", "size": "m"}, "size"), ({"name": "ab", "tags": "a"}, "tags"),
        ({"name": "ab", "tags": ["a", "c"]}, "tags"), ({"name": "ab", "tags": ["a"] * 3}, "tags"),
        ({"name": "ab", "level": True}, "level"), ({"name": "ab", "count": 1.5}, "count"),
        ({"name": "ab", "count": True}, "count"),
    ):  # fmt: skip
        refused = await rest.admin.post(path, json={"data": data})
        assert refused.status_code == 422, (data, refused.text)
        assert refused.json()["errors"][0]["field"] == f"body.data.{field}", refused.text
    fits = {"name": "abc", "size": "l", "tags": ["a", "b"], "level": 2, "count": 3}
    assert (await rest.admin.post(path, json={"data": fits})).json()["answer"]["data"] == fits


async def test_usage_beyond_all_numbers_is_clamped_and_reports_go_on(rest: Rest) -> None:
    reporter = await key(rest, "reporter")
    most = 2**53 - 1
    counts = {"input_tokens": most, "output_tokens": most, "cache_read_tokens": most}
    parent = await rest.run(status="running")
    runs = [parent, *[await rest.run(status="running", parent_run_id=parent) for _ in range(2)]]
    for run in runs:
        for batch in range(2):
            requests = [{"id": f"{batch}-{n}", "model": "m"} | counts for n in range(700)]
            said = await rest.admin.post(
                f"/runs/{run}/usage", json={"requests": requests}, headers=reporter
            )
            assert said.status_code == 200, said.text
            assert said.json()["usage"]["input_tokens"] == most
    for group in ("day", "run", "agent", "model"):
        report = await rest.admin.get("/projects/demo/usage", params={"group": group})
        assert report.status_code == 200, report.text
        assert all(0 < row["input_tokens"] <= most for row in report.json()["rows"])
    shown = await rest.admin.get(f"/runs/{parent}")
    assert shown.status_code == 200, shown.text
    assert shown.json()["usage_total"]["input_tokens"] == most
    for usage in (
        {"input_tokens": -1}, {"input_tokens": 1.5}, {"input_tokens": 2**53}, {"cost_usd": -0.01},
        {"cost_usd": 1e13}, {"cost_by": "me"}, {"by_model": {"m": 7}}, {"by_model": {"x\x00": {}}},
        {"surprise": 1}, [],
    ):  # fmt: skip
        refused = await rest.admin.patch(f"/runs/{parent}", json={"usage": usage})
        assert refused.status_code == 422, (usage, refused.text)
        assert refused.json()["errors"][0]["field"].startswith("body.usage"), refused.text
    for constant in ("NaN", "Infinity", "-Infinity"):
        text = f'{{"usage": {{"cost_usd": {constant}}}}}'
        refused = await rest.admin.patch(
            f"/runs/{parent}", content=text, headers={"Content-Type": "application/json"}
        )
        assert refused.status_code in (400, 422), refused.text


async def test_what_belongs_to_another_project_is_not_there(rest: Rest) -> None:
    """A reporter of one project, and an editor of it, against another project's run and question."""
    await rest.project("other")
    theirs = await rest.run("other", status="running")
    asked = await rest.admin.post(
        f"/runs/{theirs}/questions", json={"kind": "permission", "title": "?", "dedupe_key": "d"}
    )
    question = asked.json()["id"]
    reporter, ana = await key(rest, "reporter"), await person(rest, "Ana", "editor")
    for headers in (reporter, ana):
        for method, path, body in (
            ("GET", f"/questions/{question}", None),
            ("GET", f"/questions?run={theirs}", None),
            ("GET", "/questions?project=other", None),
            ("POST", f"/questions/{question}/answer", {"option": "allow"}),
            ("POST", f"/questions/{question}/cancel", {}),
            ("POST", f"/runs/{theirs}/questions", {"kind": "text", "title": "?"}),
            ("POST", f"/runs/{theirs}/say", {"text": "hello"}),
            ("POST", f"/runs/{theirs}/usage", {"requests": [{"id": "1", "model": "m"}]}),
            ("GET", "/projects/other/usage", None),
            ("POST", "/agents/claude/hooks?project=other", {"session_id": "s"}),
        ):
            said = await rest.admin.request(method, path, json=body, headers=headers)
            assert said.status_code == 404, (method, path, said.text)
    seen = (await rest.admin.get("/questions", headers=ana)).json()
    assert seen["questions"] == []
    mine = await rest.run(status="running")
    taken = {"id": question, "kind": "text", "title": "Mine"}
    refused = await rest.admin.post(f"/runs/{mine}/questions", json=taken, headers=reporter)
    assert refused.status_code == 409


def test_samples_are_all_there() -> None:
    assert len(LINES) > 25
    assert sample("claude/hooks.jsonl")
