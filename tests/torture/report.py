"""What a torture run found, in numbers and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.torture.checker import Account, Verdict
from tests.torture.nemesis import Injected

OUTAGE_SECONDS = 5.0
"""The longest outage that any reader may see, after the faults that it meets have ended."""


class Outage(NamedTuple):
    """Who heard nothing, and for how long: in all, and after the faults that it met."""

    reader: str
    seconds: float
    beyond_faults: float


@dataclass
class Report:
    """All verdicts and accounts of one run."""

    seed: int
    seconds: float
    verdicts: Sequence[Verdict]
    accounts: Sequence[Account]
    faults: Sequence[Injected]
    stored: int
    """Events that Postgres holds."""
    outages: tuple[Outage, Outage]
    """The longest one of all, and the one that went on for longest after the faults that it met."""
    complaints: Sequence[str] = field(default_factory=list)
    """What else was wrong, in words."""

    @property
    def deliveries(self) -> int:
        return sum(verdict.checked for verdict in self.verdicts)

    @property
    def by_kind(self) -> Counter[str]:
        return Counter(fault.kind for fault in self.faults)

    def number(self, name: str) -> int:
        """So many events that are `lost`, `doubled`, `reordered` …, over readers and writers."""
        return sum(len(getattr(v, name)) for v in self.verdicts) + sum(
            len(getattr(a, name, ())) for a in self.accounts
        )

    @property
    def is_clean(self) -> bool:
        return (
            all(verdict.is_clean for verdict in self.verdicts)
            and all(account.is_clean for account in self.accounts)
            and not self.complaints
        )

    @property
    def is_quick(self) -> bool:
        """Whether every reader was served again soon after what had cut it off; a mark of a long run, and of
        a machine that has nothing else to do."""
        return self.outages[1].beyond_faults <= OUTAGE_SECONDS

    def lines(self) -> list[str]:
        wrong = [str(verdict) for verdict in self.verdicts if not verdict.is_clean]
        wrong += [str(account) for account in self.accounts if not account.is_clean]
        kinds = [f"    {kind:20} {count:4}" for kind, count in sorted(self.by_kind.items())]
        longest, latest = self.outages
        numbers = {
            "events written": self.stored,
            "deliveries checked": self.deliveries,
            "readers": len(self.verdicts),
            "writers": len(self.accounts),
            "faults": len(self.faults),
        }
        kept = ("lost", "doubled", "reordered", "altered", "unwanted", "misled")
        numbers |= {name: self.number(name) for name in kept}
        numbers["announced in gaps"] = sum(verdict.announced for verdict in self.verdicts)
        shown = [f"  {name:20} {number:>12,}" for name, number in numbers.items()]
        at = shown.index(next(line for line in shown if line.startswith("  faults"))) + 1
        shown[at:at] = kinds
        return [
            f"{self.seconds:.0f} s, seed {self.seed}",
            *shown,
            f"  longest outage       {longest.seconds:10.1f} s ({longest.reader})",
            f"    of it after faults {longest.beyond_faults:10.1f} s",
            f"  most after faults    {latest.beyond_faults:10.1f} s ({latest.reader})",
            *(f"  WRONG: {text}" for text in (*wrong, *self.complaints)),
            "clean" if self.is_clean else "NOT CLEAN",
        ]
