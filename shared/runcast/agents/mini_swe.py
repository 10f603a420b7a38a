"""Trajectories of mini-swe-agent (`*.traj.json`): one JSON file, rewritten at each step.

`messages` and `info {model_stats {instance_cost, api_calls}, exit_status}`. Every message is a record here;
the last record is `info`. The cost is the agent's own; tokens aren't written.
"""

from __future__ import annotations

from typing import Any

from runcast.agents import entries, texts
from runcast.agents.said import Ended, Said, Used
from runcast.agents.tally import count
from runcast.agents.telling import Telling

Json = dict[str, Any]

_WELL = frozenset({"Submitted", "submitted", "exit", "success"})


class MiniSweReader(Telling):
    """Reads one trajectory."""

    def __init__(self) -> None:
        super().__init__()
        self._has_asked = False

    def read(self, record: Json) -> list[Said]:
        """What a message, or `{info: …}`, becomes; see `said.Reader`."""
        said = self.begin()
        if "info" in record:
            self._info(record["info"])
            return said
        role, text = record.get("role"), texts.text_of(record.get("content"))
        ts = texts.iso(record["timestamp"] * 1000) if "timestamp" in record else None
        if role == "user" and not self._has_asked:
            self._has_asked = True
            self.tell(entries.spoken("prompt", text, ts))
            self.call_it(texts.title(text))
        elif role == "assistant":
            self.tell(entries.spoken("say", text, ts))
            self.works()
        elif role in ("user", "tool"):
            self.tell(self.calls.end(str(record.get("tool_call_id") or ""), text, ts, tool="bash"))
        elif role not in ("system", "exit"):
            self.count_unknown(role)
        return said

    def _info(self, info: Json) -> None:
        stats = info.get("model_stats")
        if isinstance(stats, dict) and (requests := count(stats, "api_calls")):
            cost = stats.get("instance_cost")
            cost_usd = float(cost) if isinstance(cost, int | float) else None
            model = str(info.get("model") or "mini-swe-agent")
            self.tally.replace(model, (0, 0, 0, 0, 0), requests, cost_usd)
            self.tell(Used())
        status = info.get("exit_status")
        if isinstance(status, str) and status:
            is_well = status in _WELL
            self.tell(Ended("completed") if is_well else Ended("failed", status[:2000]))
