"""The position of a stream over several projects: the number of each of them, in one text.

    7f3a9c2e:17,0b12d4aa:4711

Each element names a project by the last eight digits of its id, or by its whole id where two projects of the
stream end alike, and says up to which number its events were sent. The last element is that of the event
itself, so a frame's number need only be put behind what precedes it (`Positions.before`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from uuid import UUID

from runcast_server.errors import Invalid

FARTHEST = 10**18
NAME_DIGITS = 8
MAX_ELEMENTS = 200
"""What a position may name at most: projects that are no longer asked for may be among them."""

_ELEMENT = re.compile(r"([^:,]{1,64}):([0-9]{1,40})")


def names(project_ids: Iterable[UUID]) -> dict[UUID, str]:
    """What each of these projects is called in a position."""
    short: dict[str, list[UUID]] = {}
    for project_id in project_ids:
        short.setdefault(project_id.hex[-NAME_DIGITS:], []).append(project_id)
    return {
        project_id: name if len(alike) == 1 else str(project_id)
        for name, alike in short.items()
        for project_id in alike
    }


def parse(text: str, field: str) -> dict[str, int]:
    """The numbers by what the text names. Raises `Invalid` naming the field."""
    elements = [element.strip() for element in text.split(",", MAX_ELEMENTS + 1)]
    if len(elements) > MAX_ELEMENTS:
        raise Invalid.of(field, f"at most {MAX_ELEMENTS} projects")
    found: dict[str, int] = {}
    for element in elements:
        match = _ELEMENT.fullmatch(element)
        if match is None:
            raise Invalid.of(
                field, f"must be <project>:<number>, comma-separated, not {element[:80]!r}"
            )
        number = int(match[2]) if len(match[2]) <= 18 else FARTHEST
        if found.setdefault(match[1].lower(), number) != number:
            raise Invalid.of(field, f"two numbers for {match[1]!r}")
    return found


def numbers(given: Mapping[str, int], known: Mapping[UUID, str]) -> dict[UUID, int]:
    """The numbers of the projects of a stream, which `known` gives with the names that were asked for: a
    position may name a project by those, by its id, or by the end of its id where no other ends so."""
    ends: dict[str, list[UUID]] = {}
    named: dict[str, UUID] = {}
    for project_id, asked in known.items():
        ends.setdefault(project_id.hex[-NAME_DIGITS:], []).append(project_id)
        named[asked.lower()] = named[str(project_id)] = named[project_id.hex] = project_id
    named |= {end: alike[0] for end, alike in ends.items() if len(alike) == 1 and end not in named}
    return {named[name]: number for name, number in given.items() if name in named}


class Positions:
    """Where one stream stands in each of its projects that has begun, or that the client said it had seen."""

    def __init__(self, project_ids: Iterable[UUID]) -> None:
        self.names = names(project_ids)
        self._reached: dict[UUID, bytes] = {}

    def reach(self, project_id: UUID, number: int) -> None:
        """Everything of the project up to this number was sent."""
        self._reached[project_id] = b"%b:%d" % (self.names[project_id].encode(), number)

    def forget(self, project_id: UUID) -> None:
        """The project is no longer part of the stream."""
        self._reached.pop(project_id, None)

    def before(self, project_id: UUID) -> bytes:
        """What stands in front of the number of an event of this project."""
        others = [text for other, text in self._reached.items() if other != project_id]
        return b",".join([*others, self.names[project_id].encode() + b":"])

    def __bytes__(self) -> bytes:
        return b",".join(self._reached.values())


_NEXT = b"\n\nid: "


def renumbered(data: bytes, before: bytes) -> bytes:
    """Frames of one project with the stream's position as their ids. Data is JSON, which holds no line end:
    an id stands at the beginning, or behind the end of another frame."""
    moved = data.replace(_NEXT, _NEXT + before)
    return b"id: " + before + moved[4:] if data.startswith(b"id: ") else moved


def grown(data: bytes, before: bytes) -> int:
    """The length that `renumbered` gives."""
    return len(data) + (data.count(_NEXT) + 1) * len(before)
