"""What an agent asks a person, and waiting for the answer."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError

from runcast import contract, errors
from runcast._support import acceptable
from runcast._support.ids import uuid7
from runcast.mcp.answers import Asked
from runcast.mcp.caller import Caller
from runcast.mcp.waiting import until

Json = Mapping[str, Any]

BODY_CHARACTERS = 256 * 1024
"""A question with its context at most. It isn't cut: what is answered must be what is read."""
LABEL_CHARACTERS = 2_000
ID_CHARACTERS = 64
CLOSING_SECONDS = 5.0
"""How long a call that is ended waits until its question is closed."""
AGAIN_SECONDS = 1.0
AWAY = (errors.Unreachable, errors.Unavailable, errors.TooMany)
"""What passes: the server is away, or has too much to do."""


def question(asked: str, options: Sequence[str] | None, context: str | None) -> dict[str, Any]:
    """The question as the API takes it. Raises `ToolError` for one that is too long."""
    title = acceptable.title(asked) or "?"
    parts = [
        acceptable.printable(asked) if len(asked) > contract.NAME_CHARACTERS else None,
        context,
    ]
    body = acceptable.printable("\n\n".join(part for part in parts if part))
    if len(body) > BODY_CHARACTERS:
        raise ToolError(
            f"question, context: {len(body):,} characters together; at most {BODY_CHARACTERS:,}. "
            "Keep the whole with `artifact`, and say where it is"
        )
    given = _choices(options or ())
    made: dict[str, Any] = {"id": str(uuid7()), "title": title, "via": "mcp"}
    made |= {"kind": "choice", "options": given} if given else {"kind": "text"}
    return made | ({"body": body} if body else {})


def _choices(options: Sequence[str]) -> list[Json]:
    """Each text once. Two long ones that begin alike have ids that tell them apart."""
    labels = dict.fromkeys(acceptable.title(each, LABEL_CHARACTERS) for each in options)
    by_id = {acceptable.name(label, ID_CHARACTERS): label for label in labels if label}
    return [{"id": id, "label": label} for id, label in by_id.items()]


async def answered(ctx: Context[Any, Any], caller: Caller, asked: Json, seconds: float) -> Asked:
    """The question once it is closed, or as it is after that time, also through outages: its id must reach
    the agent."""
    async for left in until(ctx, seconds, pause_seconds=0.0):
        if asked["state"] != "open" or left <= 0:
            break
        try:
            asked = await caller.client.get_question(asked["id"], wait_s=min(left, 10.0))
        except AWAY:
            await anyio.sleep(min(left, AGAIN_SECONDS))
    return Asked(question_id=asked["id"], state=asked["state"], answer=_answer(asked))


def _answer(asked: Json) -> Any:
    """What the person said: options by their labels, as the agent gave them."""
    given = asked.get("answer") or {}
    labels = {option["id"]: option["label"] for option in asked.get("options") or ()}
    option, options = given.get("option"), given.get("options")
    values = (
        labels.get(option, option),
        options and [labels.get(each, each) for each in options],
        given.get("data"),
        given.get("text"),
    )
    answer = next((value for value in values if value is not None), None)
    if given.get("text") and answer != given["text"]:
        return {"chosen": answer, "text": given["text"]}
    return answer


async def decided(ctx: Context[Any, Any], caller: Caller, asked: Json) -> Json:
    """The question once it is closed, through outages. Where the call ends before that, it is taken back:
    no agent waits for its answer any more."""
    try:
        while asked["state"] == "open":
            try:
                asked = await caller.client.get_question(asked["id"], wait_s=10)
            except AWAY:
                await anyio.sleep(AGAIN_SECONDS)
            await ctx.report_progress(0, None, "waiting for a person")
    except BaseException:
        with anyio.move_on_after(CLOSING_SECONDS, shield=True), contextlib.suppress(Exception):
            await caller.client.cancel_question(asked["id"])
        raise
    return asked
