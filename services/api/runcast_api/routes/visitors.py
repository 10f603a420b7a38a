"""What routes of people read of a request, and the session cookie that they put into a response."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from runcast_api.accounts.container import People
from runcast_api.accounts.sessions import Session, Visitor
from runcast_server.auth import principal


def visitor(request: Request) -> Visitor:
    """Where a request came from."""
    address = request.client.host if request.client else ""
    return Visitor(address, request.headers.get("user-agent", ""))


def url(people: People, request: Request) -> str:
    """What links begin with."""
    return people.url(str(request.base_url))


def is_secure(people: People, request: Request) -> bool:
    """Whether browsers reach us over TLS, so that a cookie may insist on it."""
    return url(people, request).startswith("https://")


def set_session_cookie(
    people: People, request: Request, response: Response, session: Session
) -> None:
    """Puts the session where no script reads it and no other site sends it from (RFC 6265bis)."""
    response.set_cookie(
        principal.session_cookie(request.headers, is_secure=is_secure(people, request)),
        session.token,
        expires=session.expires_at,
        path="/",
        secure=is_secure(people, request),
        httponly=True,
        samesite="strict",
    )


def drop_session_cookie(people: People, request: Request, response: Response) -> None:
    """Makes the browser forget it."""
    response.delete_cookie(
        principal.session_cookie(request.headers, is_secure=is_secure(people, request)),
        path="/",
        secure=is_secure(people, request),
        httponly=True,
        samesite="strict",
    )
