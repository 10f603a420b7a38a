"""A page that is watched: its requests, and what goes wrong in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
from playwright.sync_api import Page, Request


@dataclass
class Watched:
    """A page and what it did: its requests, and what went wrong in it."""

    page: Page
    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @classmethod
    def over(cls, page: Page) -> Watched:
        watched = cls(page)
        page.on("request", lambda request: watched.requests.append(request))
        page.on("pageerror", lambda error: watched.complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                watched.complaints.append(message.text)
                if "Content Security Policy" in message.text
                else None
            ),
        )
        return watched

    def asked(self, path: str) -> int:
        """How many requests went to this path."""
        return sum(httpx.URL(request.url).path == path for request in self.requests)


OpenPage = Callable[..., Watched]
