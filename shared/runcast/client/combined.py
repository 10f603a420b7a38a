"""A stream over several projects: like `Subscription`, with a position in all of them.

The position is a text that the server makes (`docs/protocol.md`, Several projects on one connection): its
last element names the project of the event at hand and the event's number.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from runcast import events
from runcast._support.sse import Frame
from runcast.client.subscription import Subscription
from runcast.events import Event


class CombinedSubscription(Subscription):
    """One stream over several projects, over any number of connections. `position` isn't used: `reached` is
    where the stream stands, None before anything came. `connected` is the last `connected` frame's data."""

    def __init__(
        self, path: str, params: dict[str, Any], *, reached: str | None = None, **options: Any
    ) -> None:
        super().__init__(path, params, **options)
        self.reached = reached
        self._epochs: dict[str, str] = {}

    def resumes_after(self) -> str | None:
        return self.reached

    def epoch(self) -> str | None:
        return ",".join(f"{project}:{epoch}" for project, epoch in self._epochs.items()) or None

    def feed(self, portion: bytes) -> Iterator[Event]:
        for frame in self._decoder.feed(portion):
            event = self._event(frame)
            if event.id is not None:
                self.reached = frame.id
            if self._is_wanted(event):
                yield event
        self.reached = self._decoder.last_event_id or self.reached

    def _event(self, frame: Frame) -> Event:
        event = super()._event(frame)
        name, _, number = frame.id.rpartition(",")[2].partition(":")
        if not frame.sets_id or not number.isdigit():
            return Event(event.type, event.data, None, event.data.get("project_id"))
        return Event(event.type, event.data, int(number), self._project(name))

    def _project(self, name: str) -> str | None:
        """The id of the project that a position calls so: by its end, or whole."""
        for project in self._epochs:
            if project == name or project.replace("-", "").endswith(name):
                return project
        return None

    def _is_wanted(self, event: Event) -> bool:
        match event.type:
            case events.CONNECTED:
                self.connected = event.data
                self._epochs[event.data["project_id"]] = event.data["epoch"]
                self._backoff.reset()
                return self._with_control
            case events.BYE if "project_id" in event.data:
                # Only this project's part ended, which nothing else would tell.
                self._epochs.pop(event.data["project_id"], None)
                return True
        return super()._is_wanted(event)


def position_of(after: str | Mapping[str, int] | None) -> str | None:
    """A position as the server takes it, of one that was kept or of numbers by project."""
    if after is None or isinstance(after, str):
        return after
    return ",".join(f"{project}:{number}" for project, number in after.items()) or None
