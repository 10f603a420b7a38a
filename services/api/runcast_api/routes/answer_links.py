"""`/a/{token}`: links that answer a question, once. Looking at one changes nothing; only a POST answers.

They stand in messages, which programs open to look what is behind: so GET shows a page with a button. Who
holds the link needs no other token, and the request carries none: a page of another origin, such as ntfy's
own, may call it like anyone else.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request
from starlette.responses import HTMLResponse, Response

from runcast_api.dependencies import Api, ApiState
from runcast_api.http import problems, query_names
from runcast_api.http.responses import answer
from runcast_api.notifications import answer_links, messages
from runcast_api.notifications.answer_links import Opened
from runcast_api.questions import listing
from runcast_server import negotiation
from runcast_server.auth import access, rights
from runcast_server.errors import Conflict, NotFound, Problem

router = APIRouter(include_in_schema=False)

PUBLIC_PATHS = frozenset({"/a/{token}"})

Secret = Annotated[str, Path(max_length=200)]

_STYLE = """
body { font: 17px/1.5 system-ui, sans-serif; max-width: 32rem; margin: 3rem auto; padding: 0 1rem }
button { font: inherit; padding: .6rem 1.4rem; border-radius: 6px; border: 1px solid; cursor: pointer }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: .7rem; background: #8882; border-radius: 4px }
:root { color-scheme: light dark }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}
_ANY_ORIGIN = {"Access-Control-Allow-Origin": "*"}


@router.get("/a/{token}")
async def show_answer_link(token: Secret, api: ApiState, request: Request) -> Response:
    """Shows what the link would answer, and a button."""
    try:
        query_names.refuse_unknown(request, ())
        opened = await _opened(api, token)
        return _page("Answer", await _asked(api, opened))
    except Problem as problem:
        return _refused(request, problem)


@router.post("/a/{token}")
async def use_answer_link(token: Secret, api: ApiState, request: Request) -> Response:
    """Answers, once. What the request holds besides the link makes no difference."""
    try:
        query_names.refuse_unknown(request, ())
        opened = await _opened(api, token)
        project_id = await _project(api, opened)
        closed = await answer_links.answer(
            api.database, api.resources.eventlog, token, opened, project_id
        )
    except Problem as problem:
        return _refused(request, problem)
    label = _label(closed, opened.option)
    if _is_browser(request):
        return _page("Answered", f"<p>Answered: {escape(label)}.</p>")
    shown = {"state": closed["state"], "option": opened.option, "label": label}
    return answer(shown, headers=dict(_ANY_ORIGIN))


async def _opened(api: Api, token: str) -> Opened:
    if not api.notifier.has_answers:
        raise NotFound("links that answer are turned off here; answer in Runcast itself")
    opened = await answer_links.look(api.database, token)
    if opened.is_used:
        raise Conflict("this link was used already")
    return opened


async def _project(api: Api, opened: Opened) -> UUID:
    async with api.database.acting(opened.caller) as connection:
        return UUID((await listing.show(connection, opened.question_id))["project_id"])


async def _asked(api: Api, opened: Opened) -> str:
    """What the page shows: as much as the message says, and the way to the rest."""
    async with api.database.acting(opened.caller) as connection:
        question = await listing.show(connection, opened.question_id)
        await access.inside(
            connection, opened.caller, UUID(question["project_id"]), "no question", rights.ANSWER
        )
        run = await connection.fetchrow(
            """SELECT r.name, r.key, r.number, p.name AS project FROM runs r
               JOIN projects p ON p.id = r.project_id WHERE r.id = $1""",
            UUID(question["run_id"]),
        )
        has_details = await connection.fetchval(
            "SELECT details FROM notification_settings WHERE user_id = $1", opened.caller.user_id
        )
    if question["state"] != "open":
        raise Conflict(f"the question is {question['state']}")
    tool = question["tool"]
    title = f"Permission: {tool['name']}" if tool else "Permission"
    name = run["name"] or run["key"] or f"#{run['number']}"
    shown = f"<pre>{escape(messages.cut(messages.asked(question)))}</pre>" if has_details else ""
    label = escape(_label(question, opened.option))
    return (
        f"<h1>{escape(messages.cut(title))}</h1><p>{escape(messages.cut(name))} in "
        f"{escape(messages.cut(run['project']))}</p>{shown}"
        f"<form method='post'><button>{label}</button></form>"
        f"<p><a href='/ui/runs/{question['run_id']}'>Look at the run first</a></p>"
    )


def _label(question: dict[str, Any], option: str) -> str:
    labels = {one["id"]: one["label"] for one in question["options"] or ()}
    return messages.cut(str(labels.get(option, option)))


def _is_browser(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return negotiation.best(accept, ("application/json", "text/html")) == "text/html"


def _refused(request: Request, problem: Problem) -> Response:
    if not _is_browser(request):
        # A problem may hold the question whole, which is no business of who found the link.
        response = problems.response_to(type(problem)(problem.detail))
        response.headers.update(_ANY_ORIGIN)
        return response
    said = escape(problem.detail or problem.title)
    return _page(
        "Not answered", f"<p>{said}.</p><p><a href='/ui/inbox'>Your inbox</a></p>", problem.status
    )


def _page(title: str, body: str, status: int = 200) -> Response:
    page = (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{title} · Runcast</title><style>{_STYLE}</style>{body}</html>"
    )
    return HTMLResponse(page, status, _HEADERS)
