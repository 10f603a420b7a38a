"""`/`: the console for browsers, name and links for everyone else."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from runcast_api.answers import answer

router = APIRouter(include_in_schema=False)


@router.get("/")
async def root(request: Request) -> Response:
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/ui/", status_code=307)
    links = {"console": "/ui/", "openapi": "/openapi.json", "docs": "/docs", "ready": "/ready"}
    return answer({"name": "runcast", "version": request.app.version, "links": links})
