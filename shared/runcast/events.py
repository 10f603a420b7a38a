"""The catalogue of events: every name that a stream may carry, and what its data holds.

Names as in `docs/events.md`. Each event about a run also carries `run_id`; about a task
`task_id` or `subtask_id`. Times are ISO-8601 in UTC. A worker's own events are named
`x:<name>` and carry any JSON up to 64 KiB.
"""

from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict

RUN_CREATED = "run:created"
RUN_STATUS_CHANGED = "run:status_changed"
RUN_STEP_CHANGED = "run:step_changed"
RUN_LIVENESS_CHANGED = "run:liveness_changed"
RUN_UPDATED = "run:updated"
RUN_PROGRESS = "run:progress"
AGENT_STARTED = "agent:started"
AGENT_COMPLETED = "agent:completed"
AGENT_FAILED = "agent:failed"
AGENT_LOG = "agent:log"
LOG_CLOSED = "log:closed"
LOG_REOPENED = "log:reopened"
LOG_REDACTED = "log:redacted"
ARTIFACT_CREATED = "artifact:created"
ARTIFACT_DELETED = "artifact:deleted"
RUN_DELETED = "run:deleted"
QUESTION_ASKED = "question:asked"
QUESTION_CLOSED = "question:closed"
MESSAGE_QUEUED = "message:queued"
MESSAGE_DELIVERED = "message:delivered"
TASK_STATUS_CHANGED = "task:status_changed"
SUBTASK_STATUS_CHANGED = "subtask:status_changed"
SUBTASK_UNBLOCKED = "subtask:unblocked"
TASK_UPDATED = "task:updated"
SUBTASK_UPDATED = "subtask:updated"
TASK_DELETED = "task:deleted"
SUBTASK_DELETED = "subtask:deleted"
CUSTOM_PREFIX = "x:"

CONNECTED = "connected"
GAP = "gap"
BACKFILL = "backfill"
BYE = "bye"

CONTROL = frozenset({CONNECTED, GAP, BACKFILL, BYE})
"""Frames about the stream itself. Only `gap` carries an id."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream.

    `id` is the project's event number (1, 2, 3 … over all its events), and the position from
    which a stream resumes; None for control frames and lines sent as backfill.
    """

    type: str
    data: dict[str, Any] = field(default_factory=dict)
    id: int | None = None
    project_id: str | None = None
    """On a stream over several projects: whose event it is."""


class RunRef(TypedDict):
    run_id: str


class RunCreated(RunRef):
    run: dict[str, Any]
    at: str


class RunStatusChanged(RunRef):
    old_status: str
    new_status: str
    at: str


class RunStepChanged(RunRef):
    old_step: str | None
    new_step: str
    at: str


class RunLivenessChanged(RunRef):
    old_liveness: str
    new_liveness: str
    at: str


class RunUpdated(RunRef):
    """`changed`: the other fields that changed, with their new values."""

    changed: dict[str, Any]
    at: str


class RunProgress(RunRef, total=False):
    ts: str
    stage: str
    message: str
    percent: int | None
    step: int | None
    total_steps: int | None


class AgentStarted(RunRef):
    run: dict[str, Any]


class AgentCompleted(RunRef):
    run: dict[str, Any]
    result: Any
    pr_url: str | None


class AgentFailed(RunRef):
    run: dict[str, Any]
    error: str | None
    will_retry: bool | None


class AgentLog(RunRef, total=False):
    """`line_number` counts 1, 2, 3 … per run, over all its sources."""

    line_number: int
    line: str
    ts: str
    level: str | None
    agent_name: str | None
    event_type: str | None
    payload: Any
    source: str


class LogClosed(RunRef):
    """`reason`: `sentinel`, `status`, `stopped` or `abandoned`."""

    source: str
    lines: int
    bytes: int
    reason: str


class LogRedacted(RunRef):
    """Lines that now say something else: what was kept of them has to be read again."""

    from_line: int
    to_line: int
    lines: int
    at: str


class RunDeleted(RunRef):
    """The run, its log and its artifacts are gone; its earlier events have lost what they said."""

    at: str


class ArtifactDeleted(RunRef):
    artifact_id: str
    step_name: str
    version: int
    at: str


class ArtifactCreated(RunRef):
    artifact_id: str
    step_name: str
    version: int
    media_type: str
    size: int


class QuestionAsked(RunRef):
    """`question`: as `GET /questions/{id}` shows it."""

    question: dict[str, Any]
    at: str


class QuestionClosed(RunRef):
    """`state`: `answered`, `expired`, `cancelled` or `resolved_elsewhere`."""

    question_id: str
    state: str
    answer: dict[str, Any] | None
    at: str


class MessageQueued(RunRef):
    """`message`: what a person says to a running session."""

    message: dict[str, Any]
    at: str


class MessageDelivered(RunRef):
    """`how`: `stop` (the agent goes on with it) or `context`."""

    message_id: str
    how: str
    at: str


class TaskStatusChanged(TypedDict):
    task_id: str
    old_status: str | None
    new_status: str


class TaskUpdated(TypedDict):
    """`changed`: fields but the status, with their new values."""

    task_id: str
    changed: dict[str, Any]


class TaskDeleted(TypedDict):
    task_id: str
    subtask_ids: list[str]


class SubtaskRef(TypedDict):
    subtask_id: str
    task_id: str


class SubtaskStatusChanged(SubtaskRef):
    """`subtask`: the whole subtask but its `input`."""

    subtask: dict[str, Any]
    old_status: str | None


class SubtaskUnblocked(SubtaskRef):
    """Right after its `subtask:status_changed` to `PENDING`."""

    unblocked_by_id: str


class SubtaskUpdated(SubtaskRef):
    """`changed`: fields but the status, with their new values."""

    changed: dict[str, Any]


class SubtaskDeleted(SubtaskRef):
    pass


class Connected(TypedDict):
    """Always first. `active_runs` is their state at `head`: with the later events applied it is
    the state now. A run's `omitted` names the members that are too large to be shown here.
    `active_runs_complete` is False where there are more active runs than are shown: the newest ones.
    `resumed_from` is the position taken, or None. On a stream of several projects it comes for each of them;
    `projects` says how many begin, and `projects_complete` is False where the caller may read more."""

    connection_id: str
    project_id: str
    epoch: str
    head: int
    resumed_from: int | None
    active_runs: list[dict[str, Any]]
    active_runs_complete: NotRequired[bool]
    heartbeat_s: float
    timeout_m: float
    projects: NotRequired[int]
    projects_complete: NotRequired[bool]


# `from` is a word of Python's.
Gap = TypedDict(
    "Gap",
    {"from": int, "to": int, "reason": str, "refetch": list[str], "project_id": NotRequired[str]},
)
Gap.__doc__ = """Events `from` … `to` will not be sent; `refetch` lists the URLs of the state instead.
`reason`: `retention`, `lag`, `ahead_of_head`, `reset` or `damaged`."""


class Backfill(RunRef):
    """After lines sent as backfill, which carry no id."""

    from_line: int
    to_line: int
    complete: bool


class Bye(TypedDict):
    """The stream ends: `timeout`, `complete`, `shutdown`, `token_expired`, `revoked`, `deleted`. With a
    `project_id` only that project's part of it does."""

    reason: str
    project_id: NotRequired[str]


DATA: dict[str, type] = {
    RUN_CREATED: RunCreated,
    RUN_STATUS_CHANGED: RunStatusChanged,
    RUN_STEP_CHANGED: RunStepChanged,
    RUN_LIVENESS_CHANGED: RunLivenessChanged,
    RUN_UPDATED: RunUpdated,
    RUN_PROGRESS: RunProgress,
    AGENT_STARTED: AgentStarted,
    AGENT_COMPLETED: AgentCompleted,
    AGENT_FAILED: AgentFailed,
    AGENT_LOG: AgentLog,
    LOG_CLOSED: LogClosed,
    LOG_REOPENED: LogClosed,
    LOG_REDACTED: LogRedacted,
    ARTIFACT_CREATED: ArtifactCreated,
    ARTIFACT_DELETED: ArtifactDeleted,
    RUN_DELETED: RunDeleted,
    QUESTION_ASKED: QuestionAsked,
    QUESTION_CLOSED: QuestionClosed,
    MESSAGE_QUEUED: MessageQueued,
    MESSAGE_DELIVERED: MessageDelivered,
    TASK_STATUS_CHANGED: TaskStatusChanged,
    SUBTASK_STATUS_CHANGED: SubtaskStatusChanged,
    SUBTASK_UNBLOCKED: SubtaskUnblocked,
    TASK_UPDATED: TaskUpdated,
    SUBTASK_UPDATED: SubtaskUpdated,
    TASK_DELETED: TaskDeleted,
    SUBTASK_DELETED: SubtaskDeleted,
    CONNECTED: Connected,
    GAP: Gap,
    BACKFILL: Backfill,
    BYE: Bye,
}
"""The description of each event's data, by its name."""
