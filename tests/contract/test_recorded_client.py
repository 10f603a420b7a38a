"""What the Python client of version 0.1 sent, sent again: the API still answers what that client reads.

`client_0_1.json` was recorded from that client, a program that used all of it once: each request with the
status and the shape of its answer. Ids that the server made stand in it as `<id 1>`, `<id 2>` …, with the
place in the answer where each was met first. An answer may have more members than it had; it has none less,
and none of another type, except that null may have become a value.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration import whole

pytestmark = pytest.mark.anyio

RECORDED: list[dict[str, Any]] = json.loads((Path(__file__).parent / "client_0_1.json").read_text())


async def test_a_client_of_the_last_release_still_works(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    known: dict[str, str] = {}

    def filled(text: str) -> str:
        for name, value in known.items():
            text = text.replace(name, value)
        return text

    async with whole.serving(database_url, redis_url, tmp_path) as server:
        for call in RECORDED:
            said = f"{call['method']} {call['target']}"
            answer = await server.client.request(
                call["method"],
                filled(call["target"]),
                content=filled(call.get("body", "")).encode("latin-1"),
                headers=server.admin | call.get("headers", {}),
            )
            assert answer.status_code == call["status"], (said, answer.text)
            assert answer.headers["runcast-version"] == "1"
            if call["shape"] is None:
                continue
            told = answer.json()
            assert list(faults(call["shape"], told, "answer")) == [], said
            for path, name in call.get("ids", ()):
                known[name] = at(told, path)
        other = await server.client.get("/health", headers={"Runcast-Version": "7"})
        assert (other.status_code, other.json()["type"].rpartition(":")[2]) == (
            400,
            "unknown-version",
        )
        same = await server.client.get("/health", headers={"Runcast-Version": "1"})
        assert same.status_code == 200


def at(value: Any, path: list[Any]) -> str:
    for step in path:
        value = value[step]
    return str(value)


def faults(shape: Any, value: Any, place: str) -> Any:
    """What is missing, or of another type than it was."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            yield f"{place} is no object"
            return
        for name, inner in shape.items():
            if name not in value:
                yield f"{place}.{name} is missing"
            else:
                yield from faults(inner, value[name], f"{place}.{name}")
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{place} is no array"
        elif shape and value:
            yield from faults(shape[0], value[0], f"{place}[0]")
    elif shape != "null" and value is not None and kind(value) != shape:
        yield f"{place} was {shape}, is {kind(value)}"


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return (
        "number"
        if isinstance(value, (int, float))
        else "text"
        if isinstance(value, str)
        else "other"
    )
