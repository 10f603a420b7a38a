"""One call of an agent's hook: what it says, the run that it concerns, and what it changes there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from pydantic import ValidationError

from runcast._support import times
from runcast.agents.redaction import Redaction
from runcast.contract import TERMINAL_STATUSES
from runcast_api.agents import sessions
from runcast_api.agents.sessions import Session
from runcast_api.logs import entries
from runcast_api.logs.entries import Append, LogEntry
from runcast_api.questions import closing, questions
from runcast_api.questions.schemas import WHOLE_BYTES, QuestionNew
from runcast_api.questions.schemas import State as QuestionState
from runcast_api.runs import progress, runs
from runcast_api.runs.annotations import Attention, AttentionKind, attention_with
from runcast_api.runs.progress import ProgressNew
from runcast_server.auth.principal import Principal
from runcast_server.eventlog.log import Transaction

Json = dict[str, Any]

HEADLINE_CHARACTERS = 300
TEXT_CHARACTERS = 8 * 1024
_SAYING = ("command", "cmd", "file_path", "path", "pattern", "query", "url", "description")
"""Members of a tool's input that say best what it does, in this order."""
_REDACTION = Redaction()
_VIA = "SELECT via FROM questions WHERE id = $1 AND state = 'open'"
_IS_FED = "SELECT EXISTS (SELECT FROM log_sources WHERE run_id = $1 AND source = 'spool.jsonl')"


@dataclass(slots=True)
class Hook:
    """A hook's input, in the transaction of what it changes. `run` is locked; `holds`: the hook's program
    waits for the answer to a question."""

    transaction: Transaction
    project_id: UUID
    caller: Principal
    session: Session
    payload: Json
    holds: bool
    is_sync: bool
    run: Json
    is_watched: bool = False
    """Whether a watcher on the session's machine follows the agent's own records."""

    @property
    def _via(self) -> str:
        """How the questions of the session's hooks are known."""
        return f"{self.session.program}-hook"

    @property
    def has_ended(self) -> bool:
        return self.run["status"] in TERMINAL_STATUSES

    def text(self, name: str) -> str:
        """A member of the input that is a text; empty where it isn't."""
        value = self.payload.get(name)
        return value if isinstance(value, str) else ""

    def object(self, name: str) -> Json:
        """A member of the input that is an object; empty where it isn't."""
        value = self.payload.get(name)
        return value if isinstance(value, dict) else {}

    async def reload(self) -> None:
        self.run = await runs.lock(self.transaction, UUID(self.run["id"]))

    async def change(self, **given: Any) -> None:
        """Changes the run, unless it has ended."""
        if not self.has_ended:
            self.run = await runs.change(self.transaction, self.run, given)

    async def works(self) -> None:
        """The session works: no one is needed, unless someone else asks a question about the run."""
        held = self.run["attention"]
        if held and held["question_id"]:
            via = await self.transaction.connection.fetchval(_VIA, UUID(held["question_id"]))
            if via is not None and via != self._via:
                return
        await self.change(attention=None, status="running")

    def is_only_noticed(self) -> bool:
        """Whether the session waits as a notification said, which tells nothing of its end."""
        held = self.run["attention"]
        return bool(held) and held["kind"] in ("permission", "question") and not held["question_id"]

    async def call_it(self, name: str | None) -> None:
        """Names the session, unless it has a name or there is none."""
        if name and self.run["name"] is None:
            await self.change(name=_REDACTION.text(name))

    async def waits(self, kind: AttentionKind, summary: str) -> None:
        """The session waits for a person, unless an open question says better for what."""
        held = self.run["attention"]
        if held and held["question_id"]:
            return
        attention = Attention(kind=kind, summary=" ".join(_REDACTION.text(summary).split())[:500])
        now = times.to_milliseconds(times.now())
        shown = attention_with(held, attention, now)
        await self.change(attention=shown, status="awaiting_feedback")

    async def completes(self, result: Any = None) -> None:
        """The session is over; what it still asks is taken back with it. A command's run ends with the
        command."""
        if self.run["agent_type"] not in sessions.SESSION_TYPES:
            await self.close_questions("cancelled")
            await self.works()
            return
        given: Json = {"status": "completed"}
        if result is not None:
            given["result"] = result
        await self.change(**given)

    async def fails(self, error: str) -> None:
        """The session ended by an error; the run of a command ends with the command."""
        if self.run["agent_type"] not in sessions.SESSION_TYPES:
            await self.completes()
            return
        said = _REDACTION.text(_shortened(error)) or "The session ended by an error"
        await self.change(status="failed", error=said)

    async def close_questions(
        self, state: QuestionState, only: Sequence[UUID] | None = None
    ) -> None:
        """Closes the open questions that the session's hooks asked, or those of them that are named. What
        the server or another program asks of the run stays open."""
        ids = only
        if ids is None:
            waiting = await closing.open_of(self.transaction, UUID(self.run["id"]))
            ids = [UUID(each["id"]) for each in waiting if each["via"] == self._via]
        if await questions.close_open(self.transaction, self.run, ids, state):
            await self.reload()

    async def ask(self, question: Json, context: Json) -> Json:
        """Asks a question; what the hook is answered: the question's id where it waits for it."""
        whole = _cut_to_size(question | {"answerable": self.holds, "via": self._via})
        whole["dedupe_key"] = await self._dedupe_key(context)
        new = _valid(whole)
        run_id = UUID(self.run["id"])
        asked, _ = await questions.ask(self.transaction, run_id, new, self.caller, context)
        if not self.holds or not asked["answerable"]:
            return {}
        return {"question_id": asked["id"], "agent_answer": None}

    async def _dedupe_key(self, context: Json) -> str:
        """The same for a hook that is called again while its question is open; another one afterwards, so
        that no answer counts for a second request."""
        said = [
            self.session.key,
            self.text("prompt_id"),
            context["tool_name"],
            context["tool_input"],
        ]
        digest = hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()
        closed = await self.transaction.connection.fetchval(
            """SELECT count(*) FROM questions
               WHERE run_id = $1 AND starts_with(dedupe_key, $2) AND state <> 'open'""",
            UUID(self.run["id"]),
            digest,
        )
        return f"{digest}:{closed}"

    async def log(self, event_type: str, message: str, level: str = "info", **payload: Any) -> None:
        """An entry of the session's log, without secrets, unless a watcher feeds it from the agent's own
        record: nothing comes twice."""
        run_id = UUID(self.run["id"])
        if self.is_watched or not message.strip():
            return
        if await self.transaction.connection.fetchval(_IS_FED, run_id):
            return
        entry = LogEntry(
            agent_name=self.session.program,
            event_type=event_type,
            level=level,
            message=_REDACTION.text(_shortened(message)),
            payload=payload or None,
        )
        now = times.to_milliseconds(times.now())
        encoded = entries.encode(entry, now, entries.ENTRY_BYTES, source="session")
        await entries.append_all(self.transaction, [Append(self.project_id, run_id, [encoded])])
        await self.reload()

    async def report(self, stage: str, message: str) -> None:
        """What the session does now, as its progress."""
        if not self.has_ended:
            new = ProgressNew(stage=stage, message=_REDACTION.text(message)[:HEADLINE_CHARACTERS])
            await progress.report(self.transaction, UUID(self.run["id"]), new)
            await self.reload()


async def opened(
    transaction: Transaction,
    project_id: UUID,
    caller: Principal,
    session: Session,
    payload: Json,
    *,
    resumes: bool,
    stops: bool,
    holds: bool,
    is_sync: bool,
    within: UUID | None = None,
    is_watched: bool = False,
) -> Hook:
    """The hook with the run that it concerns; `resumes`, `stops` and `within` as in `sessions.current`."""
    run = await sessions.current(
        transaction, project_id, session, resumes=resumes, stops=stops, within=within
    )
    return Hook(transaction, project_id, caller, session, payload, holds, is_sync, run, is_watched)


def headline(tool: str, tool_input: Json) -> str:
    """What a tool is used for, in one line: `Bash: pytest -q`."""
    said = next((tool_input[name] for name in _SAYING if isinstance(tool_input.get(name), str)), "")
    return f"{tool}: {' '.join(str(said).split())}"[:HEADLINE_CHARACTERS] if said else tool


def _shortened(text: str) -> str:
    """Head and tail of a long text, with the size of what lies between."""
    if len(text) <= TEXT_CHARACTERS:
        return text
    left_out = len(text) - TEXT_CHARACTERS
    return f"{text[: 6 * 1024]}\n⋯ {left_out:,} characters left out ⋯\n{text[-2 * 1024 :]}"


def without_nul(value: Any) -> Any:
    """JSON whose texts hold a sign in place of each NUL, which no text column keeps."""
    if isinstance(value, str):
        return value.replace("\x00", "␀")
    if isinstance(value, list):
        return [without_nul(each) for each in value]
    if isinstance(value, dict):
        return {without_nul(name): without_nul(each) for name, each in value.items()}
    return value


def _valid(question: Json) -> QuestionNew:
    """The question; one that can't be asked here as a notice, which is answered at the agent."""
    try:
        return QuestionNew.model_validate(question)
    except ValidationError as error:
        notice = {
            "kind": "notice",
            "title": str(question.get("title") or "")[:HEADLINE_CHARACTERS] or "A question",
            "body": f"It can't be shown here, and is answered at the agent: {error.errors()[0]['msg']}",
        }
        kept = {name: question[name] for name in ("via", "dedupe_key")}
        return QuestionNew.model_validate(notice | kept)


def _cut_to_size(question: Json) -> Json:
    """What is too large to be shown whole can't be approved here: it is cut, and answered at the agent."""
    body, tool = question.get("body") or "", question.get("tool")
    if len(body.encode("utf-8", "replace")) > WHOLE_BYTES:
        question |= {"body": _shortened(body), "answerable": False}
    if tool and len(orjson.dumps(tool["input"])) > WHOLE_BYTES:
        question |= {"tool": tool | {"input": None}, "answerable": False}
    return question
