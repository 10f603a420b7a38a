"""Questions to people (`docs/questions.md`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runcast.client.calls import Call, Json, given, path

if TYPE_CHECKING:
    from runcast.client import answers


def ask(run: str, *, project: str | None = None, **question: Any) -> Call[answers.Question]:
    """Takes kind, title, body, tool, options, multiple, text, parts, schema, default, expires_in_s,
    on_expiry, dedupe_key, answerable, via; with a known `dedupe_key` answers the question that is there."""
    return Call("POST", path("/runs/{}/questions", run), {"project": project}, json=question)


def list_questions(
    *,
    state: str | None = None,
    project: str | None = None,
    run: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[answers.QuestionPage]:
    """All questions that the caller may see, oldest first."""
    query = {"state": state, "project": project, "run": run, "limit": limit, "cursor": cursor}
    return Call("GET", "/questions", query)


def get_question(question: str, *, wait_s: float | None = None) -> Call[answers.QuestionShown]:
    """The question; with `wait_s` (at most 55) as soon as it is closed, or after that time."""
    return Call("GET", path("/questions/{}", question), {"wait_s": wait_s})


def answer_question(
    question: str,
    *,
    option: str | None = None,
    options: list[str] | None = None,
    text: str | None = None,
    data: Json | None = None,
    via: str | None = None,
) -> Call[answers.Question]:
    """Answers for good. Raises `ApiError` with status 409 where someone was faster."""
    body = given(option=option, options=options, text=text, data=data, via=via)
    return Call("POST", path("/questions/{}/answer", question), json=body)


def cancel_question(question: str, *, state: str | None = None) -> Call[answers.Question]:
    """Takes a question back; `state`: `cancelled`, or `resolved_elsewhere`."""
    return Call("POST", path("/questions/{}/cancel", question), json=given(state=state))


def say(run: str, text: str, *, project: str | None = None) -> Call[answers.Message]:
    """Queues a message to a session while it runs."""
    return Call("POST", path("/runs/{}/say", run), {"project": project}, json={"text": text})


def take_messages(run: str, *, project: str | None = None) -> Call[answers.MessagesTaken]:
    """What people said to a run and it hasn't heard yet: `{messages: [text]}`, each once."""
    return Call("POST", path("/runs/{}/messages/take", run), {"project": project}, json={})


def get_away() -> Call[answers.AwayShown]:
    """Whether the caller is away from the terminal."""
    return Call("GET", "/auth/me/away")


def set_away(away: bool) -> Call[answers.AwayShown]:
    """While away, agents that would block their terminal wait for answers from elsewhere."""
    return Call("PUT", "/auth/me/away", json={"away": away})
