"""What happens outside the browser: an agent at work, and an administrator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.processes import Up


@dataclass
class Api:
    """An agent's and an administrator's side of things."""

    http: httpx.Client

    @classmethod
    @contextmanager
    def of(cls, server: Up) -> Iterator[Api]:
        with server.client() as http:
            yield cls(http)

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The answer's body; fails with what the server says."""
        response = self.http.request(method, path, **options)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def project(self, name: str) -> dict[str, Any]:
        made: dict[str, Any] = self.call("POST", "/projects", json={"name": name})
        return made

    def run(self, project: dict[str, Any], **members: Any) -> dict[str, Any]:
        path = f"/projects/{project['id']}/runs"
        made: dict[str, Any] = self.call("POST", path, json={"status": "running", **members})
        return made

    def change(self, run: dict[str, Any], **members: Any) -> None:
        self.call("PATCH", f"/runs/{run['id']}", json=members)

    def log(self, run: dict[str, Any], *messages: str, **members: Any) -> None:
        entries = [{"message": message, **members} for message in messages]
        self.call("POST", f"/runs/{run['id']}/logs", json=entries)

    def text(self, run: dict[str, Any]) -> list[str]:
        """The log as `GET …/logs` gives it, line by line."""
        response = self.http.get(f"/runs/{run['id']}/logs", headers={"Accept": "text/plain"})
        return response.text.splitlines()
