"""Reading what is new in a session, from where its runs say that it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from runcast.agents.identity import child_key
from runcast.agents.said import ChildOver
from runcast.watch.fleet import Fleet
from runcast.watch.following import Following
from runcast.watch.run_output import RunOutput
from runcast.watch.translation import Translation

Json = dict[str, Any]

PORTION_BYTES = 4 << 20
CHILDREN = 10_000
"""Ends of sub-agents that are remembered until their own files are read."""


class Reading:
    """Opens the translations of sessions, and lets them advance. `children`: the ends of sub-agents, by key,
    as their parents' records tell them."""

    def __init__(self, fleet: Fleet) -> None:
        self.children: dict[str, ChildOver] = {}
        self._fleet = fleet

    def read(self, following: Following) -> bool:
        """Reads a portion; True if there may be more at once. Raises `OSError`."""
        translation = following.translation or self._open(following)
        following.is_waking = False
        before = following.seen
        has_more = translation.advance(PORTION_BYTES)
        if not has_more:
            following.read = before
        self._take_children(following, translation)
        if following.is_over and translation.output.exists:
            following.is_over = False  # it goes on as its next run
            self._fleet.is_changed = True
        return has_more

    def caught_up(self, following: Following) -> Translation:
        """The translation of a session whose file was read before. Raises `OSError`."""
        translation = self._open(following)
        while translation.advance(PORTION_BYTES):
            pass
        return translation

    def unread(self, following: Following) -> Translation:
        """The translation of a session whose file is gone: it can only be finished."""
        return self._translation(following, self._fleet.output(following))

    def _open(self, following: Following) -> Translation:
        """The translation of a session, from where its runs say that it is."""
        translation = self._translation(following, self._fleet.output(following))
        found = translation.open()
        while found.is_over and found.place is not None:
            following.number += 1
            following.begin = found.place.offset
            following.is_over = True
            translation = self._translation(following, self._fleet.output(following))
            found = translation.open()
        following.translation, following.told = translation, None
        following.delivered = (
            -1 if translation.output.exists else 0
        )  # by a life before, perhaps unsent
        following.was_attached |= found.has_process and not found.is_over
        return translation

    def _translation(self, following: Following, output: RunOutput) -> Translation:
        options = self._fleet.options
        facts: Json = {"host": options.host}
        earlier = [replace(following, number=number) for number in range(1, following.number)]
        if earlier:
            facts["resumes"] = earlier[-1].run_key
        return Translation(
            following.session,
            following.adapter,
            output,
            self._fleet.policy,
            project=options.project,
            facts=facts,
            clock=self._fleet.clock,
            begin=following.begin,
            earlier=[self._fleet.output(each) for each in earlier],
            parent_key=self._parent_key(following),
        )

    def _parent_key(self, following: Following) -> str | None:
        parent = self._fleet.parent_of(following)
        return parent.last_key if parent is not None else following.session.parent_key

    def _take_children(self, following: Following, translation: Translation) -> None:
        over, translation.over = translation.over, []
        above = following.session.parent_key or following.session.key
        for each in over:
            self.children[child_key(above, each.agent_id)] = each
        while len(self.children) > CHILDREN:
            del self.children[next(iter(self.children))]
