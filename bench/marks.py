"""The marks that Runcast is held to, judged by medians of what was measured on one machine."""

from dataclasses import dataclass

from bench import figures as results
from bench.contenders import CONTENDERS
from bench.figures import Results

OURS = "runcast"
LIMIT = "loop"
REQUIRED = "nchan"
PEERS = [contender.name for contender in CONTENDERS if contender.is_peer]


@dataclass(frozen=True)
class Mark:
    """A promise with the figures that decide it. `is_met` is None where a figure is missing."""

    text: str
    is_met: bool | None
    figures: str


def all_marks(figures: Results) -> list[Mark]:
    """Every mark, met or not."""
    found = [_burst(figures)]
    for subscribers in (500, 5_000, 10_000):
        found += _sparse(figures, subscribers)
    found += [
        *(_latency(figures, subscribers) for subscribers in (500, 5_000, 10_000)),
        _at_most_best(figures, "memory per idle connection", "idle", "resident_kib", "KiB"),
        _at_most(
            figures, "10,000 resumes of the same 1,000 events in ≤ 10 s", "storm", "seconds", 10
        ),
        _at_most(figures, "500 filters cost ≤ 2 x one", "filters", "ratio", 2.0),
    ]
    return found


def absent(figures: Results) -> dict[str, str]:
    """Peers without figures, and why: each could have changed every mark that compares with the best."""
    return {
        name: figures.get(name, {}).get("not_run", "not measured in this run")
        for name in PEERS
        if not figures.get(name, {}).get("scenarios")
    }


def text(figures: Results) -> str:
    """All marks, a line each, and who was missing."""
    lines = [f"{_word(mark.is_met):11} {mark.text}: {mark.figures}" for mark in all_marks(figures)]
    lines += [f"not run     {name}: {reason}" for name, reason in absent(figures).items()]
    return "\n".join(lines)


def _word(is_met: bool | None) -> str:
    return {True: "met", False: "NOT MET", None: "not judged"}[is_met]


def _best(
    figures: Results, scenario: str, figure: str, *, highest: bool = False
) -> tuple[float, str] | None:
    """The best peer's median, and its name. None without the peer that must run."""
    found = [
        (value, name)
        for name in PEERS
        if (value := results.median(figures, name, scenario, figure)) is not None
    ]
    if not any(name == REQUIRED for _, name in found):
        return None
    return max(found) if highest else min(found)


def _title(name: str) -> str:
    return next(contender.title for contender in CONTENDERS if contender.name == name)


def _burst(figures: Results) -> Mark:
    text = "burst ≥ 5 x the best peer"
    ours = results.median(figures, OURS, "burst", "per_second")
    best = _best(figures, "burst", "per_second", highest=True)
    if ours is None or best is None:
        return Mark(text, None, "not measured")
    shown = f"{ours:,.0f}/s, {_title(best[1])} {best[0]:,.0f}/s: {ours / best[0]:.1f} x"
    return Mark(text, ours >= 5 * best[0], shown)


def _sparse(figures: Results, subscribers: int) -> list[Mark]:
    """Of a delivery by itself, which is the mark, and with everything else that the server did meanwhile."""
    scenario = f"sparse-{subscribers}"
    what = f"sparse CPU per delivery, {subscribers:,} subscribers"
    found = []
    for figure, named in (
        ("delivery_us", what),
        ("whole_us", f"{what}, intake and idling included"),
    ):
        found.append(_at_most_best(figures, named, scenario, figure, "µs"))
        found.append(_near_the_limit(figures, named, scenario, figure))
    return found


def _latency(figures: Results, subscribers: int) -> Mark:
    what = f"p99 at 10,000 deliveries/s, {subscribers:,} subscribers"
    return _at_most_best(figures, what, f"sparse-{subscribers}", "p99_ms", "ms")


def _near_the_limit(figures: Results, what: str, scenario: str, figure: str) -> Mark:
    text = f"{what}, ≤ 1.6 x the C loop"
    ours = results.median(figures, OURS, scenario, figure)
    limit = results.median(figures, LIMIT, scenario, figure)
    if ours is None or limit is None:
        return Mark(text, None, "not measured")
    shown = f"{ours:.2f} µs, C loop {limit:.2f} µs: {ours / limit:.2f} x"
    return Mark(text, ours <= 1.6 * limit, shown)


def _at_most_best(figures: Results, what: str, scenario: str, figure: str, unit: str) -> Mark:
    text = f"{what}, ≤ the best peer's"
    ours, best = results.median(figures, OURS, scenario, figure), _best(figures, scenario, figure)
    if ours is None or best is None:
        return Mark(text, None, "not measured")
    shown = f"{ours:.2f} {unit}, {_title(best[1])} {best[0]:.2f} {unit}: {ours / best[0]:.2f} x"
    return Mark(text, ours <= best[0], shown)


def _at_most(figures: Results, text: str, scenario: str, figure: str, limit: float) -> Mark:
    ours = results.median(figures, OURS, scenario, figure)
    if ours is None:
        return Mark(text, None, "not measured")
    return Mark(text, ours <= limit, f"{ours:.2f}")
