"""Tasks of Cline (`ui_messages.json`): one JSON file, rewritten with each message.

A message either says something or asks for something (`type`), and names what (`say`, `ask`). What was
approved stays an ask; the next message says that the task goes on. The last record is `{usage: …}`: requests
are rewritten where they stand when their tokens are known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from runcast.agents import entries, records, texts
from runcast.agents.said import AttentionKind, Entry, Said, Used
from runcast.agents.tally import Counts, count
from runcast.agents.telling import Telling

Json = dict[str, Any]

_WAITS: Mapping[str, AttentionKind] = {
    "tool": "permission",
    "command": "permission",
    "use_mcp_server": "permission",
    "browser_action_launch": "permission",
    "use_subagents": "permission",
    "followup": "question",
    "new_task": "question",
    "condense": "question",
    "summarize_task": "question",
    "report_bug": "question",
    "plan_mode_respond": "plan",
    "completion_result": "idle",
    "resume_task": "idle",
    "resume_completed_task": "idle",
    "api_req_failed": "error",
    "mistake_limit_reached": "error",
}
_TOOLS = frozenset({"tool", "command", "use_mcp_server", "browser_action_launch", "browser_action"})
_RESULTS = frozenset({"command_output", "mcp_server_response", "browser_action_result"})
_PROMPTS = frozenset({"task", "user_feedback"})
_WORDS = frozenset(
    {"text", "completion_result", "followup", "plan_mode_respond", "act_mode_respond"}
)
_ERRORS = frozenset(
    {"error", "diff_error", "clineignore_error", "command_permission_denied", "api_req_failed"}
)
_PASSED = frozenset(
    {
        *("api_req_started", "api_req_finished", "api_req_retried", "deleted_api_reqs"),
        *("checkpoint_created", "mcp_server_request_started", "mcp_notification", "info"),
        *("user_feedback_diff", "shell_integration_warning", "load_mcp_documentation"),
        *("shell_integration_warning_with_suggestion", "hook_status", "hook_output_stream"),
        *("conditional_rules_applied", "generate_explanation", "error_retry"),
        *("subagent", "use_subagents", "subagent_usage"),
    }
)
_STANDING = (_PASSED - {"api_req_started"}) | {"task_progress"}
"""These say nothing of whether the task goes on."""
_ITEM = re.compile(r"\s*[-*] \[([ xX])\] (.{1,1000})")
MODEL = "cline"
"""Stands for the model where a message names none."""


class ClineReader(Telling):
    """Reads one task."""

    def __init__(self) -> None:
        super().__init__()
        self._call = ""
        self._output: list[str] = []
        self._last = ""
        self._number = 0

    def read(self, record: Json) -> list[Said]:
        """What a message, or `{usage: …}`, becomes; see `said.Reader`."""
        said = self.begin()
        if "usage" in record:
            self._usage(record["usage"])
            return said
        is_ask = record.get("type") == "ask"
        kind = str(record.get("ask") if is_ask else record.get("say"))
        text, ts = str(record.get("text") or ""), texts.iso(record.get("ts"))
        about = record.get("modelInfo")
        self.note({"model": about.get("modelId")} if isinstance(about, dict) else {})
        if kind in _RESULTS:
            self._output.append(text)
        else:
            self._close(ts)
            self._tell(kind, text, ts)
        if kind not in _STANDING:
            self._stand(kind if is_ask else None, kind, text, ts)
        return said

    def _tell(self, kind: str, text: str, ts: str | None) -> None:
        if kind in _TOOLS:
            self._open(kind, text, ts)
        elif kind in _PROMPTS:
            self.tell(entries.spoken("prompt", text, ts))
            if self.name is None:
                self.call_it(texts.title(text))
        elif kind in _WORDS:
            self._say(_words(kind, text), ts)
        elif kind == "reasoning":
            self.tell(entries.spoken("think", text, ts, "debug"))
        elif kind in _ERRORS:
            shown = texts.shortened(text, texts.TEXT_BYTES)[0] or kind
            self.tell(Entry("error", shown, "error", {"error": kind}, ts, plain=kind))
        elif kind == "task_progress":
            done = {" ": "pending"}
            items = [(each[2], done.get(each[1], "completed")) for each in _ITEM.finditer(text)]
            self.tell(entries.plan(items, ts))
        elif kind not in _PASSED and kind not in _WAITS:
            self.count_unknown(kind)

    def _say(self, text: str, ts: str | None) -> None:
        # The end of a task is said, and then asked about in the same words.
        if text.strip() and text != self._last:
            self._last = text
            self.tell(entries.spoken("say", text, ts))

    def _open(self, kind: str, text: str, ts: str | None) -> None:
        self._number += 1
        self._call = str(self._number)
        self.tell(self.calls.begin(self._call, *_tool(kind, text), ts))

    def _close(self, ts: str | None) -> None:
        """The call before is over once something else is said."""
        call, output = self._call, self._output
        self._call, self._output = "", []
        if call:
            self.tell(self.calls.end(call, "\n".join(output), ts))

    def _stand(self, ask: str | None, kind: str, text: str, ts: str | None) -> None:
        waits = _WAITS.get(ask) if ask is not None else None
        if kind == "completion_result":
            waits = "idle"
        if waits is None:
            self.works()
        elif waits == "permission":
            self.waits(waits, texts.headline(*_tool(kind, text)), ts)
        elif waits == "idle":
            self.waits(waits, texts.last_words(self._last), ts)
        else:
            self.waits(waits, texts.last_words(_words(kind, text)), ts)

    def _usage(self, usage: Json) -> None:
        for model, total in usage.items():
            *counted, requests, cost = total
            self.tally.replace(model, _counts(counted), int(requests), float(cost) or None)
        if usage:
            self.tell(Used())


def usage_of(messages: list[Any]) -> Json:
    """What the requests among these messages have used, by model: tokens, requests, and their cost."""
    totals: dict[str, list[float]] = {}
    model = MODEL
    for message in messages:
        if not isinstance(message, dict):
            continue
        about = message.get("modelInfo")
        if isinstance(about, dict) and isinstance(about.get("modelId"), str):
            model = about["modelId"] or model
        if message.get("say") not in ("api_req_started", "subagent_usage"):
            continue
        request = _object(str(message.get("text") or ""))
        counts = (
            count(request, "tokensIn"),
            count(request, "tokensOut"),
            count(request, "cacheReads"),
            count(request, "cacheWrites"),
        )
        if not any(counts):
            continue
        cost = request.get("cost")
        total = totals.setdefault(model[:200], [0, 0, 0, 0, 0, 0.0])
        for place, each in enumerate((*counts, 1, cost if isinstance(cost, int | float) else 0)):
            total[place] += each
    return totals


def _counts(counted: list[Any]) -> Counts:
    given, out, read, written = (int(each) for each in counted)
    return given, out, read, written, 0


def _tool(kind: str, text: str) -> tuple[str, Any]:
    """The tool that a message is about, and what it is given."""
    if kind == "command":
        return "command", {"command": text}
    given = _object(text)
    if kind == "use_mcp_server":
        named = given.get("toolName") or given.get("uri") or given.get("type")
        arguments = _object(str(given.get("arguments") or ""))
        return f"{given.get('serverName') or 'mcp'}.{named or '?'}"[:200], arguments
    if kind in ("browser_action", "browser_action_launch"):
        return "browser", given or {"url": text}
    return str(given.pop("tool", None) or kind)[:200], given


def _words(kind: str, text: str) -> str:
    """What a message says: some are JSON with the words in it."""
    given = _object(text) if kind in ("followup", "plan_mode_respond") else {}
    said = given.get("question") or given.get("response")
    return said if isinstance(said, str) else text.removesuffix("HAS_CHANGES")


def _object(text: str) -> Json:
    try:
        found = records.loads(text.encode())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
