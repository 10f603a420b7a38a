"""Who wants to be told what: the people with rules, and where they may read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import orjson
from pydantic import ValidationError

from runcast_api.notifications.schemas import Rule
from runcast_server.auth.principal import Role
from runcast_server.db import Connection

MOST_READ = 10_000
"""Settings whose rules are remembered."""

_PEOPLE = """
SELECT p.user_id, p.is_admin, p.projects, p.roles, s.rules::text AS rules, s.details, s.since
FROM notified_people($1) p JOIN notification_settings s ON s.user_id = p.user_id
"""


@dataclass(frozen=True, slots=True)
class Person:
    """Someone with rules. `roles`: what they are in their projects."""

    id: UUID
    is_admin: bool
    roles: Mapping[UUID, Role]
    rules: tuple[Rule, ...]
    details: bool
    since: datetime

    def role_in(self, project_id: UUID) -> Role | None:
        """What they are there; None where they may not read."""
        return Role.OWNER if self.is_admin else self.roles.get(project_id)

    def rules_for(self, project_id: UUID, kind: str, target: str | None = None) -> list[Rule]:
        """Their rules that tell them such a thing, at this target."""
        if self.role_in(project_id) is None:
            return []
        return [
            rule
            for rule in self.rules
            if kind in rule.when
            and (target is None or target in rule.to)
            and self._names(rule, project_id)
        ]

    def _names(self, rule: Rule, project_id: UUID) -> bool:
        if rule.projects == "all":
            return True
        if rule.projects == "mine":
            return project_id in self.roles
        return str(project_id) in rule.projects


@dataclass(eq=False)
class Readers:
    """Reads rules. What was read before isn't read again: it is looked at every second."""

    _read: dict[str, tuple[Rule, ...]] = field(default_factory=dict)

    def rules(self, kept: str) -> tuple[Rule, ...]:
        """The rules of a row."""
        found = self._read.get(kept)
        if found is None:
            if len(self._read) >= MOST_READ:
                self._read.clear()
            found = self._read[kept] = _rules(orjson.loads(kept))
        return found


async def find(
    connection: Connection, readers: Readers, user_id: UUID | None = None
) -> list[Person]:
    """All of them, or one. Who was disabled isn't among them."""
    return [
        Person(
            row["user_id"],
            row["is_admin"],
            {
                id: Role[role.upper()]
                for id, role in zip(row["projects"], row["roles"], strict=True)
            },
            readers.rules(row["rules"]),
            row["details"],
            row["since"],
        )
        for row in await connection.fetch(_PEOPLE, user_id)
    ]


def _rules(kept: Iterable[object]) -> tuple[Rule, ...]:
    """Rules as they were set. One that isn't understood any more (its zone is gone) tells nothing."""
    rules = []
    for one in kept:
        try:
            rules.append(Rule.model_validate(one))
        except ValidationError:
            continue
    return tuple(rules)
