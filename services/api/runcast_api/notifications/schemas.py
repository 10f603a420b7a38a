"""What a person sets, as it is sent and shown (`docs/notifications.md`)."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from runcast_api.http.fields import Name, NoNul

When = Literal[
    "permission", "question", "plan", "error", "failed", "completed", "stalled", "budget"
]
TargetKind = Literal["ntfy", "webpush", "apprise"]

MAX_RULES = 20
MAX_TARGETS = 10
MAX_PROJECTS = 200
MAX_AFTER_SECONDS = 86_400.0
AFTER_SECONDS = 60.0
"""Most questions are answered at the terminal within a minute; those need no phone."""

_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def _clock(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise ValueError("isn't a time of day such as 22:00")
    return text


def _zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is no time zone (for example Europe/Berlin)") from None


ClockTime = Annotated[str, AfterValidator(_clock)]
Zone = Annotated[str, StringConstraints(max_length=100), AfterValidator(_zone)]
TargetId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
Address = Annotated[str, StringConstraints(min_length=1, max_length=2000), NoNul]


class Quiet(BaseModel):
    """Hours in which nothing is told: it waits for their end, and is told then if it still holds. They may go
    past midnight. `except`: what is told all the same."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    from_: ClockTime = Field(alias="from")
    to: ClockTime
    tz: Zone = "UTC"
    except_: list[When] = Field(default=[], alias="except", max_length=8)

    @property
    def hours(self) -> tuple[time, time]:
        """Their beginning and end."""
        return time.fromisoformat(self.from_), time.fromisoformat(self.to)

    @model_validator(mode="after")
    def ends(self) -> Quiet:
        if self.from_ == self.to:
            raise ValueError("to: the hours end when they begin; leave the rule out instead")
        return self


class Rule(BaseModel):
    """What is told, and where. `projects`: `all` that you may read, `mine`: those that you are a member of,
    or some by slug or id. `after_s`: how long it must last first. `only_away`: only while you are away."""

    model_config = ConfigDict(extra="forbid")

    when: Annotated[list[When], Field(min_length=1, max_length=8)]
    projects: (
        Literal["all", "mine"] | Annotated[list[Name], Field(min_length=1, max_length=MAX_PROJECTS)]
    ) = "all"
    after_s: Annotated[float, Field(ge=0, le=MAX_AFTER_SECONDS)] = AFTER_SECONDS
    only_away: bool = False
    quiet: Quiet | None = None
    to: Annotated[list[TargetId], Field(min_length=1, max_length=MAX_TARGETS)]


class PushKeys(BaseModel):
    """The keys of a browser's subscription (RFC 8291), as base64url."""

    model_config = ConfigDict(extra="forbid")

    p256dh: Annotated[str, StringConstraints(max_length=200)]
    auth: Annotated[str, StringConstraints(max_length=100)]


class Subscription(BaseModel):
    """A browser's subscription, as its `PushSubscription.toJSON()` says it."""

    model_config = ConfigDict(extra="forbid")

    endpoint: Address
    keys: PushKeys
    expirationTime: float | None = None


class Target(BaseModel):
    """Where messages go. Addresses that are secrets aren't shown again: null keeps the stored one of this
    id. `url`: of ntfy `ntfy://host/topic`, else an Apprise URL. `token`: of ntfy, an access token."""

    model_config = ConfigDict(extra="forbid")

    id: TargetId
    kind: TargetKind
    name: Name | None = None
    url: Address | None = None
    token: Annotated[str, StringConstraints(max_length=500), NoNul] | None = None
    subscription: Subscription | None = None


class TargetState(BaseModel):
    """How sending to a target goes. `failing_since`: the first failure since the last success."""

    failing_since: str | None
    error: str | None
    disabled_reason: str | None


class NotificationServer(BaseModel):
    """What the server says to it: `push_key` is for `PushManager.subscribe`; `has_apprise`: whether
    addresses of Apprise work here; `answers`: whether messages have buttons that answer."""

    push_key: str
    has_apprise: bool
    answers: bool
    targets: dict[str, TargetState]


class NotificationsSet(BaseModel):
    """What you want to be told, where. `details`: messages hold what is asked too, and not only who asks.
    `server` is what the answer shows; here it is ignored."""

    model_config = ConfigDict(extra="forbid")

    rules: Annotated[list[Rule], Field(max_length=MAX_RULES)]
    targets: Annotated[list[Target], Field(max_length=MAX_TARGETS)]
    details: bool = False
    server: Any = None


class Notifications(BaseModel):
    """What you want to be told, where."""

    rules: list[Rule]
    targets: list[Target]
    details: bool
    server: NotificationServer


class NotificationTest(BaseModel):
    """A target to try."""

    model_config = ConfigDict(extra="forbid")

    target: TargetId


class NotificationTested(BaseModel):
    """What came of an attempt; `error` is null where the receiver took it."""

    delivered: bool
    status: int | None
    error: str | None
    ms: int


class Presence(BaseModel):
    """Which page of yours is visible and focused: the inbox, or that of a run. It counts for 30 s."""

    model_config = ConfigDict(extra="forbid")

    page: Annotated[str, StringConstraints(min_length=1, max_length=100), NoNul]
