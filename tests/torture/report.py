"""What a torture run found, in numbers and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.torture.checker import Account, Verdict
from tests.torture.nemesis import Injected


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
    silence: tuple[str, float]
    """Who heard nothing for longest, and how long, in seconds."""
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

    def lines(self) -> list[str]:
        wrong = [str(verdict) for verdict in self.verdicts if not verdict.is_clean]
        wrong += [str(account) for account in self.accounts if not account.is_clean]
        kinds = [f"    {kind:20} {count:4}" for kind, count in sorted(self.by_kind.items())]
        who, seconds = self.silence
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
            f"  longest outage seen  {seconds:10.1f} s ({who})",
            *(f"  WRONG: {text}" for text in (*wrong, *self.complaints)),
            "clean" if self.is_clean else "NOT CLEAN",
        ]
