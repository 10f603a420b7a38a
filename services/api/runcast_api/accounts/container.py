"""What the endpoints of people share: built once at start."""

from __future__ import annotations

from dataclasses import dataclass

from runcast_api.accounts.oidc import OpenId
from runcast_api.accounts.passwords import Passwords
from runcast_server.auth import rate_limits
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

    def url(self, called_by: str) -> str:
        """What links begin with: the public address, or the one by which we were just called."""
        return (self.public_url or called_by).rstrip("/")
