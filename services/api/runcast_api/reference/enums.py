"""Names for the enumerations of the OpenAPI document, so that generated clients have types for them."""

from __future__ import annotations

from typing import Any

_REF = "#/components/schemas/"

NAMES: dict[tuple[str, ...], tuple[str, str]] = {
    ("queued", "running", "awaiting_feedback", "completed", "failed", "cancelled"): (
        "RunState",
        "Status of a run. `completed`, `failed` and `cancelled` are terminal.",
    ),
    ("ok", "stalled", "lost"): ("Liveness", "Whether a running run is heard of."),
    ("owner", "editor", "reporter", "viewer"): (
        "RoleName",
        "Role in a project; each one includes those after it.",
    ),
    ("worker", "answer"): ("KeyScope", "What a key may do besides its role."),
    (
        *("BLOCKED", "PENDING", "IN_PROGRESS", "IN_REVIEW"),
        *("COMPLETED", "MERGED", "FAILED", "SKIPPED"),
    ): ("SubtaskStatus", "Status of a subtask. docs/tasks.md has the transitions."),
    ("PLANNING", "PLANNING_FAILED", "ACTIVE", "DONE"): ("TaskStatus", "Status of a task."),
    ("activate", "planning-failed", "retry-planning", "reopen"): (
        "TaskMove",
        "Transition of a task.",
    ),
    ("start", "complete", "fail", "review", "merge", "skip", "retry"): (
        "SubtaskMove",
        "Transition of a subtask.",
    ),
    ("RUNNING", "IDLE", "DEGRADED", "STOPPED"): ("WorkerState", "What a worker says of itself."),
    (
        *("provider_runtime", "tool_runtime", "model_adapter"),
        *("execution", "dispatcher", "worker"),
    ): ("RuntimeLayer", "Part of the runtime that an event is about."),
    (
        *("CALL", "FALLBACK", "RETRY", "TOOL_CALL"),
        *("TOOL_LOOP", "TASK", "HEARTBEAT", "BREAKER"),
    ): ("RuntimeOperation", "What was being done."),
    ("breaker_open", "worker_stale", "task_stuck"): (
        "RuntimeFlag",
        "What is wrong with the runtime.",
    ),
    ("permission", "choice", "text", "plan", "form", "notice"): (
        "QuestionKind",
        "What kind of answer a question takes. docs/questions.md describes each.",
    ),
    ("open", "answered", "expired", "cancelled", "resolved_elsewhere"): (
        "QuestionState",
        "State of a question; all but `open` are final.",
    ),
    ("none", "deny", "default"): ("OnExpiry", "What holds when a question expires."),
    ("permission", "question", "plan", "idle", "error", "budget"): (
        "AttentionKind",
        "Why a run needs a person.",
    ),
    ("allow", "allow_always", "deny"): ("OptionRole", "What choosing an option means."),
    ("console", "cli", "api", "ntfy", "webpush", "chat", "mcp"): (
        "AnswerDoor",
        "Through which door an answer came.",
    ),
    ("claude-hook", "codex-hook", "opencode"): ("HookFormat", "In whose words an answer is."),
    ("notify", "ask", "cancel"): ("BudgetAction", "What happens when a budget is used up."),
    ("agent", "estimate"): ("CostSource", "Who computed a cost."),
    ("password", "link", "invitation", "oidc"): ("SignInMethod", "How a session began."),
    ("latest", "all"): ("Versions", "Which versions of artifacts to list."),
    ("ndjson", "parquet", "zip"): ("ExportFormat", "Format of an export."),
    (
        *("permission", "question", "plan", "error"),
        *("failed", "completed", "stalled", "budget"),
    ): ("NotificationKind", "What a person can be told."),
    ("ntfy", "webpush", "apprise"): ("TargetKind", "By which way messages reach a person."),
    ("all", "mine"): ("ProjectChoice", "Of which projects, without naming them."),
    ("day", "run", "agent", "model"): ("UsageGroup", "What a row of a usage report adds up."),
}
"""By their values: the name and what it stands for. A test fails for an enumeration that has no name."""


def name_all(document: dict[str, Any]) -> None:
    """Moves each inline enumeration that has a name into the components, and refers to it."""
    used: set[tuple[str, ...]] = set()
    for part in (document["components"]["schemas"], document["paths"]):
        _replace(part, used)
    for values in used:
        name, meaning = NAMES[values]
        document["components"]["schemas"][name] = {
            "type": "string",
            "enum": list(values),
            "title": name,
            "description": meaning,
        }


def _replace(value: Any, used: set[tuple[str, ...]]) -> None:
    children = value.values() if isinstance(value, dict) else value
    for child in children:
        if isinstance(child, dict | list):
            _replace(child, used)
    if isinstance(value, dict) and isinstance(listed := value.get("enum"), list):
        values = tuple(listed)
        if values in NAMES:
            used.add(values)
            del value["enum"], value["type"]
            value["$ref"] = _REF + NAMES[values][0]
