"""What the endpoints of people share: built once at start."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from runcast_api.accounts.oidc import OpenId
from runcast_api.accounts.passwords import Passwords
from runcast_api.accounts.sessions import Session, Visitor
from runcast_server.auth import principal, rate_limits
from runcast_server.auth.rate_limits import RequestLimits, SignInLimits
from runcast_server.errors import Forbidden
from runcast_server.service import Resources


@dataclass(frozen=True)
class People:
    """Passwords, limits and sign-in elsewhere."""

    passwords: Passwords
    sign_ins: SignInLimits
    requests: RequestLimits
    openid: OpenId | None
    session_hours: float
    public_url: str | None
    has_passwords: bool = True
    confirms_invitations: bool = False
    """Whether an account for an address that someone else invited waits for an administrator."""

    @classmethod
    def build(cls, resources: Resources) -> People:
        """From the settings."""
        settings = resources.settings.auth
        counters = rate_limits.storage(resources.bus)
        return cls(
            Passwords(settings.password_breach_url),
            SignInLimits(counters),
            RequestLimits.configured(counters, settings),
            OpenId.configured(settings),
            settings.session_hours,
            resources.settings.process.public_url,
            settings.password_sign_in,
            settings.confirms_invitations,
        )

    def require_passwords(self) -> None:
        """Raises `Forbidden` where people sign in elsewhere only."""
        if not self.has_passwords:
            raise Forbidden("passwords are turned off here: sign in with the identity provider")

    def url(self, request: Request) -> str:
        """What links begin with: the public address, or the one by which we were just called."""
        return (self.public_url or str(request.base_url)).rstrip("/")


def visitor(request: Request) -> Visitor:
    """Where a request came from."""
    address = request.client.host if request.client else ""
    return Visitor(address, request.headers.get("user-agent", ""))


def is_secure(people: People, request: Request) -> bool:
    """Whether browsers reach us over TLS, so that a cookie may insist on it."""
    return people.url(request).startswith("https://")


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
    """Has the browser forget it."""
    response.delete_cookie(
        principal.session_cookie(request.headers, is_secure=is_secure(people, request)),
        path="/",
        secure=is_secure(people, request),
        httponly=True,
        samesite="strict",
    )
