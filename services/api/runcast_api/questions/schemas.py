"""A question and its answer, as they are sent and shown (`docs/questions.md`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from runcast_api.http.fields import LongText, Name, NoNul
from runcast_api.questions import forms
from runcast_server.runs import in_milliseconds

Kind = Literal["permission", "choice", "text", "plan", "form", "notice"]
State = Literal["open", "answered", "expired", "cancelled", "resolved_elsewhere"]
Role = Literal["allow", "allow_always", "deny"]
OnExpiry = Literal["none", "deny", "default"]

WHOLE_BYTES = 256 * 1024
"""The body of a question, and its tool's input, at most: what is approved must be what is read, so neither
is ever cut."""
MAX_OPTIONS = 100
MAX_PARTS = 16
MAX_EXPIRY_SECONDS = 365 * 86_400.0


def _small(value: Any) -> Any:
    if len(orjson.dumps(value)) > WHOLE_BYTES:
        raise ValueError(f"is larger than {WHOLE_BYTES:,} bytes")
    return value


def _offers_few(schema: dict[str, Any]) -> dict[str, Any]:
    if path := forms.too_long(schema):
        raise ValueError(f"{path}: offers more than {forms.MAX_CHOICES:,} choices")
    return schema


def _distinct(options: list[Option]) -> list[Option]:
    if len({option.id for option in options}) < len(options):
        raise ValueError("two of them have the same id")
    return options


Title = Annotated[str, StringConstraints(min_length=1, max_length=500), NoNul]
Body = Annotated[str, StringConstraints(max_length=WHOLE_BYTES), NoNul]
SmallJson = Annotated[Any, AfterValidator(_small)]


class Option(BaseModel):
    """One of the answers to choose from. `text`: the person may say something with it."""

    model_config = ConfigDict(extra="forbid")

    id: Name
    label: Annotated[str, StringConstraints(min_length=1, max_length=2000), NoNul]
    role: Role | None = None
    text: bool = False
    description: LongText | None = None


Options = Annotated[list[Option], Field(max_length=MAX_OPTIONS), AfterValidator(_distinct)]


class Part(BaseModel):
    """One of several questions that are asked and answered together, in `data` by the part's id."""

    model_config = ConfigDict(extra="forbid")

    id: Name
    title: Title
    options: Options = []
    multiple: bool = False
    text: bool = False


class Tool(BaseModel):
    """The use of a tool that a permission is asked for."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    input: SmallJson = None
    call_id: Name | None = None


class QuestionNew(BaseModel):
    """What is asked. A permission without options can be allowed or denied, a plan likewise."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    id: UUID | None = None
    kind: Kind
    title: Title
    body: Body | None = None
    tool: Tool | None = None
    options: Options | None = None
    multiple: bool = Field(default=False, description="Several options may be chosen.")
    text: bool = Field(
        default=False, description="A text may stand beside or instead of an option."
    )
    parts: Annotated[list[Part], Field(min_length=1, max_length=MAX_PARTS)] | None = None
    schema_: (
        Annotated[dict[str, Any], AfterValidator(_small), AfterValidator(_offers_few)] | None
    ) = Field(
        default=None,
        alias="schema",
        description="Of a form: a JSON Schema of an object whose members are texts, numbers, booleans "
        "or enums.",
    )
    default: SmallJson = Field(
        default=None,
        description="The answer to give when the question expires: an option's id, a text, "
        "or a form's data.",
    )
    expires_in_s: Annotated[float, Field(gt=0, le=MAX_EXPIRY_SECONDS)] | None = None
    on_expiry: OnExpiry = "none"
    dedupe_key: Annotated[str, StringConstraints(min_length=1, max_length=200), NoNul] | None = None
    answerable: bool = Field(
        default=True, description="False: it can only be answered where the agent runs."
    )
    via: Name = "api"

    @model_validator(mode="after")
    def is_whole(self) -> QuestionNew:
        if self.kind in _DEFAULT_OPTIONS and not self.options:
            self.options = [Option(**option) for option in _DEFAULT_OPTIONS[self.kind]]
        if self.kind == "choice" and not self.options and not self.parts:
            raise ValueError("options: a choice needs options or parts")
        if (self.kind == "form") != (self.schema_ is not None):
            raise ValueError("schema: a form, and nothing else, has a schema")
        if self.kind == "notice":
            self.answerable = False
        if self.on_expiry == "default" and self.default is None:
            raise ValueError("default: on_expiry is default, but there is none")
        if self.on_expiry == "deny" and self.denial is None:
            raise ValueError("on_expiry: there is no option that denies")
        return self

    @property
    def denial(self) -> str | None:
        """The id of the option that denies, if there is one."""
        return next((option.id for option in self.options or () if option.role == "deny"), None)


_DEFAULT_OPTIONS: Mapping[str, tuple[dict[str, Any], ...]] = {
    "permission": (
        {"id": "allow", "label": "Allow once", "role": "allow"},
        {"id": "deny", "label": "Deny", "role": "deny", "text": True},
    ),
    "plan": (
        {"id": "approve", "label": "Approve", "role": "allow"},
        {"id": "reject", "label": "Reject", "role": "deny", "text": True},
    ),
}


class AnswerNew(BaseModel):
    """What a person answers: one option or several, a text, or data (of a form, or of parts by their id)."""

    model_config = ConfigDict(extra="forbid")

    option: Name | None = None
    options: Annotated[list[Name], Field(max_length=MAX_OPTIONS)] | None = None
    text: Annotated[str, StringConstraints(max_length=64 * 1024), NoNul] | None = None
    data: Annotated[dict[str, Any], AfterValidator(_small)] | None = None
    via: Literal["console", "cli", "api", "ntfy", "webpush", "chat", "mcp"] = "api"


class QuestionClosing(BaseModel):
    """How a question ends without an answer here: taken back, or answered where the agent runs."""

    model_config = ConfigDict(extra="forbid")

    state: Literal["cancelled", "resolved_elsewhere"] = "cancelled"


class By(BaseModel):
    kind: str
    id: str | None
    name: str | None


class Answer(BaseModel):
    option: str | None
    options: list[str] | None
    text: str | None
    data: Any
    by: By | None
    via: str
    at: str


class Question(BaseModel):
    """A question. `answer` is null until there is one; `by` is null where it expired into its default."""

    model_config = ConfigDict(populate_by_name=True)

    id: UUID
    project_id: UUID
    run_id: UUID
    kind: Kind
    state: State
    title: str
    body: str | None
    tool: Tool | None
    options: list[Option] | None
    multiple: bool
    text: bool
    parts: list[Part] | None
    schema_: dict[str, Any] | None = Field(alias="schema")
    default: Any
    answerable: bool
    via: str
    asked_at: str
    asked_by: By
    expires_at: str | None
    on_expiry: OnExpiry
    answer: Answer | None
    closed_at: str | None
    dedupe_key: str | None


class QuestionShown(Question):
    """With `?as=`, also the answer in the words of the agent's own program: null while there is none."""

    agent_answer: Any = None


class QuestionPage(BaseModel):
    questions: list[Question]
    total: int
    next_cursor: str | None


COLUMNS = (
    "id, project_id, run_id, kind, state, title, body, tool, options, multiple, takes_text, parts, schema, "
    '"default", answerable, via, asked_at, asked_by, expires_at, on_expiry, answer, closed_at, dedupe_key'
)
"""What `as_json` needs of a row."""

_MEMBERS = tuple(name.strip('"') for name in COLUMNS.split(", "))


def as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """The question of a row with `COLUMNS`, its members in the order of `Question`."""
    shown = {("text" if name == "takes_text" else name): row[name] for name in _MEMBERS}
    for name in ("id", "project_id", "run_id"):
        shown[name] = str(shown[name])
    for name in ("asked_at", "expires_at", "closed_at"):
        shown[name] = in_milliseconds(shown[name])
    return shown
