"""What is said about a run besides its course: labels, what it needs from a person, what it has used."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from runcast._support import times
from runcast.contract import LABELS
from runcast_api.http.fields import Key, LongText, Name, NoNul

MAX_ALIASES = 16
SUMMARY_CHARACTERS = 500
MAX_MODELS = 64

AttentionKind = Literal["permission", "question", "plan", "idle", "error", "budget"]

LabelKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/-]{1,128}$")]
LabelValue = Annotated[str, StringConstraints(max_length=256), NoNul]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=LABELS)]
LabelChanges = Annotated[dict[LabelKey, LabelValue | None], Field(max_length=2 * LABELS)]
"""Labels to set, and with null those to remove."""
Count = Annotated[int, Field(ge=0, lt=2**53)]
Dollars = Annotated[float, Field(ge=0, lt=1e12, allow_inf_nan=False)]


def _time(text: str) -> str:
    try:
        return times.to_milliseconds(times.parse(text))
    except (ValueError, OverflowError):
        raise ValueError("not an ISO-8601 time") from None


def _cut(text: Any) -> Any:
    if isinstance(text, str) and len(text) > SUMMARY_CHARACTERS:
        return text[: SUMMARY_CHARACTERS - 1] + "…"
    return text


def _distinct(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


Aliases = Annotated[list[Key], Field(max_length=MAX_ALIASES), AfterValidator(_distinct)]
"""Names besides the key under which a run is found; unique in the project together with its keys."""
Moment = Annotated[str, AfterValidator(_time)]
"""An ISO-8601 time; kept in UTC with milliseconds."""


class Attention(BaseModel):
    """What a run needs from a person. `since` is now where it isn't given; a summary longer than 500
    characters is cut and ends in `…`."""

    model_config = ConfigDict(extra="forbid")

    kind: AttentionKind
    since: Moment | None = None
    summary: Annotated[LongText, BeforeValidator(_cut)] = ""
    question_id: UUID | None = None


class Tokens(BaseModel):
    """Counts of tokens. `input_tokens` doesn't contain what was read from or written to a cache."""

    model_config = ConfigDict(extra="forbid")

    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    reasoning_tokens: Count = 0
    requests: Count = 0
    cost_usd: Dollars | None = None
    cost_by: Literal["agent", "estimate"] | None = Field(
        default=None, description="Who says what it costs; null where that is unknown."
    )


class Usage(Tokens):
    """What a run has used since it began: totals, not increments, so a report may be repeated."""

    context_tokens: Count | None = None
    context_window: Count | None = None
    by_model: Annotated[dict[Name, Tokens], Field(max_length=MAX_MODELS)] = {}


class Budget(BaseModel):
    """What a run and its descendants may use. At 80 and 100 percent of either it is told, once; at 100 `ask`
    asks whether to go on, `cancel` cancels the run."""

    model_config = ConfigDict(extra="forbid")

    max_cost_usd: Annotated[Dollars, Field(gt=0)] | None = None
    max_tokens: Annotated[Count, Field(gt=0)] | None = None
    action: Literal["notify", "ask", "cancel"] = "notify"

    @model_validator(mode="after")
    def limits_something(self) -> Budget:
        if self.max_cost_usd is None and self.max_tokens is None:
            raise ValueError("max_cost_usd: a budget limits cost or tokens")
        return self


def labels_with(labels: dict[str, str], changes: dict[str, str | None]) -> dict[str, str]:
    """`labels` with the changes made: null removes one. Raises `ValueError` for too many."""
    merged = {key: value for key, value in (labels | changes).items() if value is not None}
    if len(merged) > LABELS:
        raise ValueError(f"more than {LABELS} labels")
    return merged


def attention_with(
    held: dict[str, Any] | None, new: Attention | None, at: str
) -> dict[str, Any] | None:
    """The attention to keep. One that is said again without a time keeps the time of the first. What it says
    of a question is left out: only asking one sets that."""
    if new is None:
        return None
    shown = new.model_dump(mode="json") | {"question_id": None}
    if shown["since"] is None:
        is_same = held is not None and held["kind"] == new.kind
        shown["since"] = held["since"] if held is not None and is_same else at
    return shown
