"""Writes the tables of `docs/performance.md` from the figures: nothing there is copied by hand."""

from bench.results import Results


def write(figures: Results) -> None:
    pass
