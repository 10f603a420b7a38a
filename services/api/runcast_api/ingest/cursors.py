"""The ingest cursor in words, as it is compared and swapped: what of the stream is done.

`1764-5` says that everything up to this id is. `1764-5 0f3a11c2=1700-0` says the same, but for one lane (the
messages of a run, named by a hash), of which everything from `1700-0` on is still to be done.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runcast_api.ingest.stream import as_numbers, id_before


def parse(cursor: str) -> tuple[str, dict[str, str]]:
    """The id up to which everything is done but for some lanes, and each one's first id that isn't."""
    done_to, *behind = cursor.split(" ")
    return done_to, dict(each.split("=", 1) for each in behind)


def all_done_to(cursor: str) -> str:
    """The id up to which everything is done without exception."""
    done_to, behind = parse(cursor)
    return id_before(min(behind.values(), key=as_numbers)) if behind else done_to


@dataclass(eq=False, slots=True)
class Order:
    """The order in which a batch takes messages, and so the cursor after each of them.

    `done_to` is the highest id that was taken before, `before` and `after` each lane's first id that isn't
    taken, before and after the batch. The ids in a batch rise.
    """

    done_to: str
    before: dict[str, str]
    after: dict[str, str] = field(default_factory=dict)
    _taken: list[tuple[str, str]] = field(default_factory=list)

    def add(self, lane: str, id: str) -> None:
        """Takes the next message."""
        self._taken.append((lane, id))

    def cursor(self, place: int) -> str:
        """The cursor when the message at this place, and all before it, are done."""
        done_to = max(self.done_to, self._taken[place][1], key=as_numbers)
        later: dict[str, str] = {}
        for lane, id in self._taken[place + 1 :]:
            later.setdefault(lane, id)
        firsts = dict(self.before)
        for lane, _ in self._taken[: place + 1]:
            first = later.get(lane) or self.after.get(lane)
            if first is None:
                firsts.pop(lane, None)
            else:
                firsts[lane] = first
        limit = as_numbers(done_to)
        behind = [f"{lane}={id}" for lane, id in sorted(firsts.items()) if as_numbers(id) < limit]
        return " ".join([done_to, *behind])
