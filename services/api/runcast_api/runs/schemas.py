"""Runs as requests give them and answers show them."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from runcast.contract import DEFAULT_STEPS, Status
from runcast_api.http.fields import Key, LongText, Name, Patch
from runcast_api.runs.annotations import (
    Aliases,
    Attention,
    Budget,
    LabelChanges,
    Labels,
    Usage,
)
from runcast_server.auth import access

Liveness = Literal["ok", "stalled", "lost"]


class RunNew(BaseModel):
    """What a run is made of; every member has a default."""

    model_config = ConfigDict(extra="forbid")

    id: UUID | None = None
    key: Key | None = None
    name: Name | None = None
    phase: Name = "phase1"
    current_step: Name | None = None
    steps: Annotated[list[Name], Field(max_length=200)] = list(DEFAULT_STEPS)
    status: Status = "awaiting_feedback"
    agent_type: Name | None = Field(default=None, description="PLANNER, WORKER or any other.")
    agent_name: Name | None = None
    task_id: UUID | None = Field(
        default=None, description="The task for a planner, the subtask for a worker."
    )
    input: Any = Field(default=None, description="Any JSON: prompt, requirements.")
    metadata: dict[str, Any] = {}
    labels: Labels = {}
    parent_run_id: UUID | None = Field(default=None, description="The run that started this one.")
    parent_key: Key | None = Field(
        default=None, description="Its key instead; a run is made for one that isn't there yet."
    )
    attention: Attention | None = None
    usage: Usage | None = None
    budget: Budget | None = None
    aliases: Aliases = []

    @field_validator("key")
    @classmethod
    def not_like_an_id(cls, key: str | None) -> str | None:
        if key is not None and access.as_uuid(key):
            raise ValueError("must not look like an id")
        return key

    @model_validator(mode="after")
    def step_is_known(self) -> RunNew:
        if len(set(self.steps)) < len(self.steps):
            raise ValueError("steps: a step is named twice")
        if self.current_step is None:
            self.current_step = self.steps[0] if self.steps else None
        elif self.current_step not in self.steps:
            raise ValueError(f"current_step: {self.current_step!r} is not one of steps")
        return self


class RunPatch(Patch):
    """Changes to a run; what is absent stays. Members of `metadata` and `labels` are added to those that are
    there; null removes a label. `usage` is the total so far, and replaces what was reported before."""

    NEVER_NULL = frozenset({"status", "current_step", "metadata", "labels", "aliases"})

    status: Status | None = None
    current_step: Name | None = None
    error: LongText | None = None
    will_retry: bool | None = None
    result: Any = None
    pr_url: Annotated[LongText, Field(max_length=2000)] | None = None
    metadata: dict[str, Any] | None = None
    name: Name | None = None
    labels: LabelChanges | None = None
    parent_run_id: UUID | None = None
    parent_key: Key | None = None
    attention: Attention | None = None
    usage: Usage | None = None
    budget: Budget | None = None
    aliases: Aliases | None = None


class RetryNew(BaseModel):
    """What a new attempt has that the one before hadn't; what is absent is taken over. Members of `metadata`
    and `labels` are added to those that are there; null removes a label."""

    model_config = ConfigDict(extra="forbid")

    input: Any = None
    key: Key | None = None
    name: Name | None = None
    agent_name: Name | None = None
    metadata: dict[str, Any] = {}
    labels: LabelChanges = {}
    budget: Budget | None = None


class Run(BaseModel):
    """A run: one attempt of an agent at something."""

    id: UUID
    number: int
    key: str | None
    project_id: UUID
    name: str | None
    labels: dict[str, str]
    parent_run_id: UUID | None
    attention: Attention | None
    usage: Usage | None
    budget: Budget | None
    metrics: dict[str, float]
    aliases: list[str]
    phase: str
    current_step: str | None
    steps: list[str]
    status: Status
    agent_type: str | None
    agent_name: str | None
    task_id: UUID | None
    attempt: int
    retry_of: UUID | None
    error: str | None
    will_retry: bool | None
    result: Any
    pr_url: str | None
    input: Any
    metadata: dict[str, Any]
    progress: Any
    liveness: Liveness
    last_line_number: int
    step_timestamps: dict[str, str]
    created_at: str
    started_at: str | None
    finished_at: str | None
    updated_at: str


class Reported(BaseModel):
    """What a worker learns when it reports: whether it should stop."""

    status: Status
    cancelled: bool


class Heartbeat(BaseModel):
    """A sign of life, and perhaps the time within which the next one is promised."""

    model_config = ConfigDict(extra="forbid")

    expect_next_in_s: Annotated[float, Field(gt=0, le=7 * 86_400)] | None = None
