"""What a project's owner says about retention and quota, and the bounds that the settings give.

A member that is absent or null leaves it to the settings: `LOG_RETENTION_DAYS` is the default for
`retention.days`, `PROJECT_MAX_BYTES` and `PROJECT_LINES_PER_MINUTE` are the defaults for the quota. These two
and `RETENTION_MAX_DAYS` are also the most that an owner may choose; an administrator may choose more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from runcast_server.auth.principal import Principal
from runcast_server.errors import Invalid
from runcast_server.settings import ApiSettings

MAX_DAYS = 36_500

Days = Annotated[int, Field(ge=1, le=MAX_DAYS)]
Number = Annotated[int, Field(ge=1, lt=2**62)]


class Retention(BaseModel):
    """How long and how much of a log is kept; its oldest part goes first.

    `days`: events older than this are dropped. `max_bytes`: what the log may take before its oldest events
    are dropped. `keep_failed_days`: how long the lines of failed runs are kept instead of `days`.
    """

    model_config = ConfigDict(extra="forbid")

    days: Days | None = None
    max_bytes: Number | None = None
    keep_failed_days: Days | None = None


class Quota(BaseModel):
    """Beyond which lines are refused: bytes that the log takes, lines in a minute."""

    model_config = ConfigDict(extra="forbid")

    max_bytes: Number | None = None
    lines_per_minute: Number | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """The settings: what holds where a project says nothing, and the most that an owner may choose."""

    default_days: int | None
    max_days: int | None
    max_bytes: int | None
    lines_per_minute: int | None

    @classmethod
    def of(cls, settings: ApiSettings) -> Bounds:
        given = [settings.log_retention_days, settings.retention_max_days]
        days = [each for each in given if each is not None]
        return cls(
            min(days, default=None),
            settings.retention_max_days,
            settings.project_max_bytes,
            settings.project_lines_per_minute,
        )

    def check(self, caller: Principal, retention: Retention | None, quota: Quota | None) -> None:
        """Raises `Invalid`, naming the field, where an owner chooses more than the settings allow."""
        if caller.is_admin:
            return
        if retention is not None:
            _check_most("retention.days", retention.days, self.max_days)
            _check_most("retention.keep_failed_days", retention.keep_failed_days, self.max_days)
        if quota is not None:
            _check_most("quota.max_bytes", quota.max_bytes, self.max_bytes)
            _check_most("quota.lines_per_minute", quota.lines_per_minute, self.lines_per_minute)

    def effective(self, retention: dict[str, Any], quota: dict[str, Any]) -> dict[str, Any]:
        """What holds for a project that says this: `retention` and `quota`, null where there is no limit."""
        days = retention.get("days") or self.default_days
        failed = retention.get("keep_failed_days")
        return {
            "retention": {
                "days": days,
                "max_bytes": retention.get("max_bytes"),
                "keep_failed_days": failed if days is not None else None,
            },
            "quota": {
                "max_bytes": quota.get("max_bytes") or self.max_bytes,
                "lines_per_minute": quota.get("lines_per_minute") or self.lines_per_minute,
            },
        }


def _check_most(field: str, value: int | None, most: int | None) -> None:
    if value is not None and most is not None and value > most:
        raise Invalid.of(f"body.{field}", f"at most {most:,} on this server")


def changes(given: Retention | Quota | None) -> dict[str, Any]:
    """The members that a PATCH names; null for one that is left to the settings again."""
    return {} if given is None else given.model_dump(include=given.model_fields_set)


def check_together(retention: dict[str, Any]) -> None:
    """Raises `Invalid` where lines of failed runs would go before the others."""
    days, failed = retention.get("days"), retention.get("keep_failed_days")
    if days is not None and failed is not None and failed < days:
        raise Invalid.of("body.retention.keep_failed_days", f"must be at least days ({days})")
