"""Whose message is it? Runs by id or by key, projects by id or slug, and who may say so."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from pydantic import SecretStr

from runcast_api.ingest.messages import Message, Refused
from runcast_server.auth.access import as_uuid
from runcast_server.db import Connection

_RUNS = """
SELECT r.id, r.project_id, p.slug, r.key, p.deleted_at IS NOT NULL AS is_deleted
FROM runs r JOIN projects p ON p.id = r.project_id WHERE r.id = ANY($1)
UNION ALL
SELECT r.id, r.project_id, p.slug, r.key, false
FROM unnest($2::uuid[], $3::text[]) AS wanted (project_id, key)
JOIN projects p ON p.id = wanted.project_id JOIN runs r ON r.project_id = p.id AND r.key = wanted.key
UNION ALL
SELECT a.run_id, a.project_id, p.slug, a.alias, false
FROM unnest($2::uuid[], $3::text[]) AS wanted (project_id, key)
JOIN projects p ON p.id = wanted.project_id
JOIN run_aliases a ON a.project_id = p.id AND a.alias = wanted.key
"""
_PROJECTS = """
SELECT id, slug FROM projects WHERE deleted_at IS NULL AND (slug = ANY($1) OR id = ANY($2))
"""
_KEYS = "SELECT token_hash, project_id, is_admin FROM writing_keys($1)"


@dataclass(frozen=True, slots=True)
class Address:
    """A run that exists, and its project."""

    run_id: UUID
    project_id: UUID


class Directory:
    """The runs, projects and keys that a batch speaks of, looked up together."""

    def __init__(self) -> None:
        self._by_id: dict[UUID, tuple[UUID, str, bool]] = {}
        self._by_key: dict[tuple[UUID, str], UUID] = {}
        self._projects: dict[str, UUID] = {}
        self._keys: dict[bytes, tuple[UUID | None, bool]] = {}

    async def look_up(self, connection: Connection, messages: Sequence[Message]) -> None:
        await self._look_up_projects(connection, messages)
        await self._look_up_runs(connection, messages)
        tokens = {_hash(m.auth) for m in messages if m.auth}
        if tokens:
            rows = await connection.fetch(_KEYS, list(tokens))
            self._keys = {row[0]: (row[1], row[2]) for row in rows}

    async def _look_up_projects(self, connection: Connection, messages: Iterable[Message]) -> None:
        named = {m.project for m in messages if m.project}
        if named:
            ids = [project_id for text in named if (project_id := as_uuid(text))]
            for row in await connection.fetch(_PROJECTS, list(named), ids):
                self._projects[row["slug"]] = self._projects[str(row["id"])] = row["id"]

    async def _look_up_runs(self, connection: Connection, messages: Iterable[Message]) -> None:
        ids = {m.run_id for m in messages if m.run_id}
        keys = {
            (self._projects[m.project], m.key)
            for m in messages
            if m.run_id is None and m.key and m.project in self._projects
        }
        if ids or keys:
            rows = await connection.fetch(
                _RUNS, list(ids), [project for project, _ in keys], [key for _, key in keys]
            )
            for row in rows:
                self._note(*row)

    def add(self, address: Address, message: Message) -> None:
        """Notes the run that was made for a message."""
        self._note(address.run_id, address.project_id, message.project or "", message.key)

    def _note(
        self, run_id: UUID, project_id: UUID, slug: str, key: str | None, is_deleted: bool = False
    ) -> None:
        self._by_id[run_id] = (project_id, slug, is_deleted)
        if key is not None and not is_deleted:
            self._by_key[project_id, key] = run_id

    def find(self, message: Message) -> Address | None:
        """The run of a message; None where it doesn't exist yet. Raises `Refused`."""
        run_id = message.run_id
        if run_id is None and message.key and message.project in self._projects:
            run_id = self._by_key.get((self._projects[message.project], message.key))
        if run_id is None or run_id not in self._by_id:
            return None
        project_id, slug, is_deleted = self._by_id[run_id]
        if is_deleted:
            raise Refused("the run's project was deleted")
        if message.project is not None and message.project not in (slug, str(project_id)):
            raise Refused(f"the run belongs to another project than {message.project!r}")
        return Address(run_id, project_id)

    def project(self, message: Message) -> UUID:
        """The project that a message names. Raises `Refused`."""
        if message.project is None:
            raise Refused(f"no run {str(message.run_id or message.key)!r}")
        project_id = self._projects.get(message.project)
        if project_id is None:
            raise Refused(f"no project {message.project!r}")
        return project_id

    def check(self, message: Message, project_id: UUID | None, secret: SecretStr | None) -> None:
        """With a secret set, a message needs it or a key of its project. Raises `Refused`."""
        if secret is None:
            return
        given = (message.auth or "").encode()
        if secrets.compare_digest(given, secret.get_secret_value().encode()):
            return
        owner, is_admin = self._keys.get(_hash(message.auth or ""), (None, False))
        if not is_admin and (owner is None or owner != project_id):
            raise Refused("auth is missing or not a key of this project")


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
