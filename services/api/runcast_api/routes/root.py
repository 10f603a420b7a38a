"""`/` and `/ui/`: the console for browsers, name and links for everyone else."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from runcast_api.http import reference
from runcast_api.http.console import Console
from runcast_api.http.responses import answer
from runcast_server import negotiation

router = APIRouter(include_in_schema=False)

PUBLIC_PATHS = frozenset({"/", "/docs", "/ui", "/ui/{path:path}"})
"""Routes that answer without a token; nothing in them shows data."""


@router.get("/")
async def root(request: Request) -> Response:
    accept = request.headers.get("accept", "")
    if negotiation.best(accept, ("application/json", "text/html")) == "text/html":
        return RedirectResponse("/ui/", status_code=307)
    links = {"console": "/ui/", "openapi": "/openapi.json", "docs": "/docs", "ready": "/ready"}
    return answer({"name": "runcast", "version": request.app.version, "links": links})


@router.api_route("/docs", methods=["GET", "HEAD"])
async def docs(request: Request) -> Response:
    return HTMLResponse(reference.page(request.app.openapi()))


@router.api_route("/ui", methods=["GET", "HEAD"])
async def without_slash() -> Response:
    return RedirectResponse("/ui/", status_code=307)


@router.api_route("/ui/{path:path}", methods=["GET", "HEAD"])
async def console(path: str, request: Request) -> Response:
    found: Console = request.app.state.console
    return found.answer(path, request.headers.get("accept-encoding", ""))
