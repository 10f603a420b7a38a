"""Which of several things a client would rather have: `Accept` and `Accept-Encoding` (RFC 9110, 12.5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def best(accept: str, offered: Sequence[str]) -> str | None:
    """The media type or coding that weighs most; of equal ones the one that is named, and then the first
    offered. None where none is taken. Without a header it is the first."""
    if not accept.strip():
        return offered[0]
    ranges = list(_weighed(accept))
    weights = [_weight(name, ranges) for name in offered]
    heaviest = max(weights)
    return offered[weights.index(heaviest)] if heaviest[0] > 0 else None


def _weight(name: str, ranges: Sequence[tuple[str, float]]) -> tuple[float, int]:
    """What the most precise of the ranges that hold `name` gives it, and how precise that is."""
    kind = name.partition("/")[0] + "/*"
    for precision, wanted in enumerate((name, kind, "*/*", "*")):
        given = [weight for range, weight in ranges if range == wanted]
        if given:
            return max(given), -precision
    return 0.0, 0


def _weighed(header: str) -> Iterator[tuple[str, float]]:
    for part in header.lower().split(","):
        name, *parameters = (text.strip() for text in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                weight = _number(value)
        if name:
            yield name, weight


def _number(text: str) -> float:
    """A weight from 0 to 1; what isn't one counts as 0, which takes nothing."""
    try:
        number = float(text.strip())
    except ValueError:
        return 0.0
    return number if 0.0 <= number <= 1.0 else 0.0
