"""Records of Claude Code: its transcripts (`~/.claude/projects/*/*.jsonl`), and what
`--output-format stream-json` prints, which has the same user and assistant records.

The format is internal to Claude Code and changes between versions, so what isn't known is counted and passed
over. Three of its habits decide what is read here:

- One line for each block of a message, all with the same `message.id` and the same usage: a request counts
  once per (message.id, requestId).
- A record may be appended again (after a second `/compact`), and forks and resumed sessions begin with copied
  records: a `uuid` counts once, and a record of another session is a copy.
- That a tool has no result yet doesn't say that a permission is waited for. Only what surely asks a person
  (AskUserQuestion, ExitPlanMode) does; permissions come from the registry and from hooks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping
from typing import Any

from runcast.agents import entries, texts
from runcast.agents.identity import child_key
from runcast.agents.said import AttentionKind, ChildOver, Entry, Said, Used
from runcast.agents.tally import LARGE_TOKENS, Counts, count, size_of
from runcast.agents.telling import Telling
from runcast.agents.telling import count as count_one

Json = dict[str, Any]

_FACTS = {"version": "version", "sessionId": "session_id", "cwd": "cwd", "gitBranch": "git_branch"}
_TURN_OVER = frozenset({"end_turn", "stop_sequence", "refusal"})
_SYNTHETIC = "<synthetic>"
_NOTIFICATION = "<task-notification>"
_TAG = {
    name: re.compile(f"<{name}>(.*?)</{name}>", re.DOTALL)
    for name in ("task-id", "status", "summary", "result")
}
_OVER: Mapping[str, Any] = {"completed": "completed", "failed": "failed", "killed": "failed"}


class ClaudeReader(Telling):
    """Reads one session, or one of its sub-agents.

    `session_id` is the session whose records these must be; None takes any. `key` is the session's own, which
    sub-agents' keys begin with. `copied` holds the `uuid`s of the session that this one was forked from.
    """

    def __init__(
        self,
        key: str,
        session_id: str | None = None,
        *,
        is_subagent: bool = False,
        copied: Container[str] = (),
    ) -> None:
        super().__init__()
        self.skipped: dict[str, int] = {}
        self._key = key
        self._session_id = session_id
        self._is_subagent = is_subagent
        self._copied = copied
        self._copies = 0
        self._copied_from = ""
        self._seen: set[int] = set()
        self._asked: set[str] = set()
        self._background: set[str] = set()
        self._rank = -1

    def read(self, record: Json) -> list[Said]:
        """What a record becomes; see `said.Reader`."""
        said = self.begin()
        kind = record.get("type")
        reads = _KINDS.get(kind) if isinstance(kind, str) else None
        if reads is None:
            self.count_unknown(str(kind)[:100])
        elif not self._is_known(record, kind):
            reads(self, record)
        return said

    def _is_known(self, record: Json, kind: Any) -> bool:
        """Whether the record was read before, here or in the session that it was copied from."""
        uuid = record.get("uuid")
        if not isinstance(uuid, str):
            return False
        session = record.get("sessionId")
        is_foreign = self._session_id is not None and session not in (None, self._session_id)
        if is_foreign or uuid in self._copied:
            self._copies += 1
            self._copied_from = self._copied_from or (str(session) if is_foreign else "")
            return True
        if hash(uuid) in self._seen:
            count_one(self.skipped, "duplicate_uuid")
            return True
        self._seen.add(hash(uuid))
        if self._copies:
            source = f"claude-{self._copied_from}" if self._copied_from else "another session"
            ts = record.get("timestamp")
            self.tell(entries.notice(f"Continues {source} ({self._copies} records)", ts))
            self._copies = 0
        return False

    def _user(self, record: Json) -> None:
        self._learn(record)
        if record.get("isMeta") or record.get("isCompactSummary"):
            count_one(self.skipped, "compact_summary" if record.get("isCompactSummary") else "meta")
            return
        content, ts = record["message"].get("content"), record.get("timestamp")
        for block in _blocks(content):
            kind = block.get("type")
            if kind == "tool_result":
                self._tool_result(record, block, ts)
            elif kind == "text":
                self._user_text(record, str(block.get("text") or ""), ts)
            elif kind in ("image", "document"):
                self.tell(entries.spoken("prompt", texts.block_text(block), ts))
            else:
                self.count_unknown(f"user/{str(kind)[:80]}")

    def _user_text(self, record: Json, text: str, ts: str | None) -> None:
        if text.startswith(_NOTIFICATION):
            self._task_over(text, ts)
        elif text.startswith("[Request interrupted"):
            self.tell(entries.notice("Interrupted by the user", ts, "warning"))
            self._waits("idle", "", ts)
        elif record.get("isSidechain") and not self._is_subagent:
            count_one(self.skipped, "sidechain_prompt")
        elif text.strip():
            self.tell(entries.spoken("prompt", text, ts))
            if self.name is None and (name := texts.title(text)) and not text.startswith("<"):
                self._call_it(0, name)
            self.works()

    def _task_over(self, text: str, ts: str | None) -> None:
        """A task in the background has ended."""
        task, status, summary = (_tag(text, name) for name in ("task-id", "status", "summary"))
        self._background.discard(task)
        plain = f"Sub-agent {task} {status}"
        self.tell(entries.notice(f"{plain}: {summary}", ts, plain=plain))
        if (over := _OVER.get(status)) is not None and task:
            error = summary if over == "failed" else None
            self.tell(ChildOver(task, over, error, _tag(text, "result") or None))

    def _tool_result(self, record: Json, block: Json, ts: str | None) -> None:
        call_id = str(block.get("tool_use_id") or "")
        about = record.get("toolUseResult")
        about = about if isinstance(about, Mapping) else {}
        agent_id = about.get("agentId")
        child = child_key(self._key, agent_id) if isinstance(agent_id, str) and agent_id else None
        ok = not block.get("is_error")
        text = texts.text_of(block.get("content"))
        self.tell(self.calls.end(call_id, text, ts, ok=ok, child=child))
        if child and isinstance(agent_id, str):
            if about.get("status") == "async_launched":
                self._background.add(agent_id)
            elif about.get("status") == "completed":
                self.tell(ChildOver(agent_id, "completed", result=text))
        if call_id in self._asked:
            self._asked.discard(call_id)
            self.works()

    def _assistant(self, record: Json) -> None:
        self._learn(record)
        message, ts = record["message"], record.get("timestamp")
        if record.get("isApiErrorMessage"):
            text = texts.text_of(message.get("content"))
            error = record.get("error")
            payload = {"error": error} if isinstance(error, str) else None
            plain = error if isinstance(error, str) else "An error of the API"
            shown = texts.shortened(text, texts.TEXT_BYTES)[0]
            self.tell(Entry("error", shown, "error", payload, ts, plain=plain))
            self._waits("error", text, ts)
            return
        self._use(record, message, ts)
        said = ""
        for block in _blocks(message.get("content")):
            said = self._block(block, record, ts) or said
        is_own = self._is_subagent or not record.get("isSidechain")
        if is_own and message.get("stop_reason") in _TURN_OVER:
            self._waits("idle", texts.last_words(said), ts)

    def _block(self, block: Json, record: Json, ts: str | None) -> str:
        """One block of the agent's message; the text, if it is one."""
        kind = block.get("type")
        if kind == "text":
            if (text := str(block.get("text") or "")).strip():
                self.tell(entries.spoken("say", text, ts))
                return text
        elif kind == "thinking":
            if thought := str(block.get("thinking") or ""):
                self.tell(entries.spoken("think", thought, ts, "debug"))
        elif kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
            self._tool(str(block.get("id") or ""), str(block.get("name") or "?"), block, record, ts)
        elif kind != "redacted_thinking":
            self.count_unknown(f"assistant/{str(kind)[:80]}")
        return ""

    def _tool(self, call_id: str, tool: str, block: Json, record: Json, ts: str | None) -> None:
        given = block.get("input")
        self.tell(self.calls.begin(call_id, tool, given, ts))
        given = given if isinstance(given, dict) else {}
        if tool == "TodoWrite" and (
            listed := entries.plan(entries.plan_items(given.get("todos")), ts)
        ):
            self.tell(listed)
        elif tool == "AskUserQuestion":
            self._asked.add(call_id)
            self._waits("question", texts.first_question(given), ts)
        elif tool == "ExitPlanMode":
            self._asked.add(call_id)
            self._waits("plan", texts.title(str(given.get("plan") or "")) or "A plan", ts)

    def _use(self, record: Json, message: Json, ts: str | None) -> None:
        model, used = message.get("model"), message.get("usage")
        if not isinstance(model, str) or not model or model == _SYNTHETIC:
            return
        if self.facts.get("model") != model and not record.get("isSidechain"):
            if before := self.facts.get("model"):
                self.tell(entries.notice(f"The model changed from {before} to {model}", ts))
            self.note({"model": model})
        elif self._is_subagent:
            self.note({"model": model})
        if not isinstance(used, dict):
            return
        counts = counts_of(used)
        if self.tally.put((message.get("id"), record.get("requestId")), model, counts):
            self.tally.context_tokens = size_of(counts)
            self.tell(Used(size_of(counts) > LARGE_TOKENS))

    def _system(self, record: Json) -> None:
        subtype, ts = str(record.get("subtype")), record.get("timestamp")
        if subtype == "compact_boundary":
            about = record.get("compactMetadata")
            about = about if isinstance(about, dict) else {}
            how = f"({about.get('trigger')}, {about.get('preTokens')} tokens before)"
            self.tell(entries.notice(f"Context compacted {how}", ts))
        elif subtype in ("api_error", "api_retry"):
            attempt = record.get("retryAttempt") or record.get("attempt") or "?"
            most = record.get("maxRetries") or record.get("max_retries") or "?"
            self.tell(entries.notice(f"The API failed; retry {attempt} of {most}", ts, "warning"))
        else:
            count_one(self.skipped, f"system/{subtype[:80]}")

    def _ai_title(self, record: Json) -> None:
        self._call_it(1, texts.title(str(record.get("aiTitle") or "")))

    def _custom_title(self, record: Json) -> None:
        self._call_it(2, texts.title(str(record.get("customTitle") or "")))

    def _call_it(self, rank: int, name: str | None) -> None:
        """Names the session: by its person before the agent, and by either before its first prompt."""
        if name and rank >= self._rank:
            self._rank = rank
            self.call_it(name)

    def _learn(self, record: Json) -> None:
        self.note({ours: record.get(theirs) for theirs, ours in _FACTS.items()})

    def _waits(self, kind: AttentionKind, summary: str, ts: str | None) -> None:
        self.waits(kind, summary, ts, len(self._background))


_KINDS: Mapping[str, Callable[[ClaudeReader, Json], None]] = {
    "user": ClaudeReader._user,
    "assistant": ClaudeReader._assistant,
    "system": ClaudeReader._system,
    "ai-title": ClaudeReader._ai_title,
    "custom-title": ClaudeReader._custom_title,
}


def counts_of(used: Json) -> Counts:
    """Anthropic's usage of one request: its `input_tokens` doesn't contain what a cache held."""
    return (
        count(used, "input_tokens"),
        count(used, "output_tokens"),
        count(used, "cache_read_input_tokens"),
        count(used, "cache_creation_input_tokens"),
        0,
    )


def _blocks(content: Any) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return (
        [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    )


def _tag(text: str, name: str) -> str:
    found = _TAG[name].search(text)
    return found[1].strip() if found else ""
