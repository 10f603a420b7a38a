"""Stand-ins for the other agents: message files, whole files, databases."""

from __future__ import annotations

import json
import sqlite3
import time
import weakref
from pathlib import Path
from typing import Any

from tests.fleet.sessions import Session, Writing, append


class Gemini(Session):
    """Messages that come again when they change."""

    program = "gemini"

    def begin(self) -> None:
        self.path = self.root / "tmp" / "app" / "chats" / f"session-x-{self.id[:8]}.jsonl"
        append(self.path, {"sessionId": self.id, "kind": "main"})

    def message(self, kind: str, id: str, content: Any, **more: Any) -> None:
        append(
            self.path,
            {"id": id, "timestamp": self.stamp(), "type": kind, "content": content} | more,
        )

    def prompt(self, text: str) -> Writing:
        self.message("user", f"m{self.next()}", [{"text": text}])
        self.saw("prompt", text)
        self.truth.is_now("running")
        yield

    def tokens(self) -> dict[str, int]:
        self.truth.use(10, 10, 100)
        return {"input": 110, "output": 10, "cached": 100, "thoughts": 0, "tool": 0, "total": 120}

    def tool(self, command: str, ok: bool, result: str) -> Writing:
        number = self.next()
        call = {"id": f"c{number}", "name": "shell", "args": {"command": command}}
        model = {"model": "gemini-3-pro"}
        begun = [call | {"status": "executing"}]
        self.message("gemini", f"m{number}", "", toolCalls=begun, tokens=None, **model)
        yield
        found = [{"functionResponse": {"id": f"c{number}", "response": {"output": result}}}]
        over = [call | {"status": "success" if ok else "error", "result": found}]
        self.message("gemini", f"m{number}", "", toolCalls=over, tokens=self.tokens(), **model)
        append(self.path, {"$set": {"lastUpdated": self.stamp()}})
        self.used_tool("shell", command, result)
        yield

    def say(self, text: str) -> Writing:
        self.message("gemini", f"m{self.next()}", text, tokens=self.tokens(), model="gemini-3-pro")
        self.saw("say", text)
        self.truth.is_now("awaiting_feedback", "idle")
        yield


class Qwen(Session):
    """Claude's frame, Gemini's body."""

    program = "qwen"

    def begin(self) -> None:
        self.path = self.root / "projects" / "-w-app" / "chats" / f"{self.id}.jsonl"

    def write(self, kind: str, *parts: dict[str, Any], **more: Any) -> None:
        frame = {
            "uuid": f"{self.id}-{self.next()}",
            "sessionId": self.id,
            "timestamp": self.stamp(),
        }
        role = "model" if kind == "assistant" else "user"
        append(
            self.path,
            frame | {"type": kind, "message": {"role": role, "parts": list(parts)}} | more,
        )

    def used(self) -> dict[str, Any]:
        self.truth.use(10, 10, 100)
        counts = {
            "promptTokenCount": 110,
            "cachedContentTokenCount": 100,
            "candidatesTokenCount": 10,
        }
        return {"usageMetadata": counts, "model": "qwen3"}

    def prompt(self, text: str) -> Writing:
        self.write("user", {"text": text})
        self.saw("prompt", text)
        self.truth.is_now("running")
        yield

    def tool(self, command: str, ok: bool, result: str) -> Writing:
        call = {"id": f"c{self.next()}", "name": "shell"}
        self.write(
            "assistant", {"functionCall": call | {"args": {"command": command}}}, **self.used()
        )
        yield
        about = {"toolCallResult": {"callId": call["id"], "status": "success" if ok else "error"}}
        found = {"functionResponse": call | {"response": {"output": result}}}
        self.write("tool_result", found, **about)
        self.used_tool("shell", command, result)
        yield

    def say(self, text: str) -> Writing:
        self.write("assistant", {"text": text}, **self.used())
        self.saw("say", text)
        self.truth.is_now("awaiting_feedback", "idle")
        yield


class Copilot(Session):
    """Events; it writes which permission it waits for. Tokens come with the end, which it never reaches."""

    program = "copilot"
    can_wait = True

    def begin(self) -> None:
        self.path = self.root / "session-state" / self.id / "events.jsonl"
        self.write(
            "session.start", sessionId=self.id, copilotVersion="1", context={"cwd": "/w/app"}
        )

    def write(self, kind: str, **data: Any) -> None:
        id = f"{self.id}-{self.next()}"
        append(self.path, {"type": kind, "data": data, "id": id, "timestamp": self.stamp()})

    def prompt(self, text: str) -> Writing:
        self.write("user.message", content=text)
        self.write("assistant.turn_start", turnId="0")
        self.saw("prompt", text)
        self.truth.is_now("running")
        yield

    def wait(self, command: str) -> Writing:
        asked = {"kind": "shell", "fullCommandText": command}
        self.write("permission.requested", requestId="p", permissionRequest=asked)
        self.truth.is_now("awaiting_feedback", "permission")
        yield
        self.write("permission.completed", requestId="p", result={"kind": "approved"})
        self.truth.is_now("running")
        yield

    def tool(self, command: str, ok: bool, result: str) -> Writing:
        call = f"t{self.next()}"
        given = {"toolName": "bash", "arguments": {"command": command}}
        self.write("tool.execution_start", toolCallId=call, **given)
        yield
        found = {"result": {"content": result}} if ok else {"error": {"message": result}}
        self.write("tool.execution_complete", toolCallId=call, success=ok, **found)
        self.used_tool("bash", command, result)
        yield

    def say(self, text: str) -> Writing:
        self.write("assistant.message", content=text, messageId=f"a{self.next()}", outputTokens=10)
        self.write("assistant.turn_end", turnId="0")
        self.saw("say", text)
        self.truth.use(0, 10, 0)
        self.truth.is_now("awaiting_feedback", "idle")
        yield


class Cline(Session):
    """One file for all messages, written again each time; it writes what it asks."""

    program = "cline"
    can_wait = True

    def begin(self) -> None:
        self.path = self.root / self.id / "ui_messages.json"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.messages: list[dict[str, Any]] = []
        self.asked = ""

    def add(self, kind: str, text: str, *, ask: bool = False) -> None:
        word = "ask" if ask else "say"
        ts = 1_795_681_800_000 + len(self.messages)
        self.messages.append({"ts": ts, "type": word, word: kind, "text": text})
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps(self.messages))
        draft.rename(self.path)

    def prompt(self, text: str) -> Writing:
        self.add("user_feedback" if self.messages else "task", text)
        used = {"tokensIn": 10, "tokensOut": 10, "cacheReads": 100}
        self.add("api_req_started", json.dumps(used))
        self.saw("prompt", text)
        self.truth.use(10, 10, 100)
        self.truth.is_now("running")
        yield

    def wait(self, command: str) -> Writing:
        self.asked = command
        self.add("command", command, ask=True)
        self.saw("tool", f"command: {command}")
        self.truth.is_now("awaiting_feedback", "permission")
        yield

    def tool(self, command: str, ok: bool, result: str) -> Writing:
        if self.asked != command:
            self.add("command", command)
            self.saw("tool", f"command: {command}")
        self.add("command_output", result)
        self.truth.is_now("running")
        yield
        self.add("reasoning", "Hm.")
        self.saw("tool_result", result)
        self.saw("think", "Hm.")
        yield

    def say(self, text: str) -> Writing:
        self.add("completion_result", text)
        yield
        self.add("completion_result", "", ask=True)
        self.saw("say", text)
        self.truth.is_now("awaiting_feedback", "idle")
        yield


class Opencode(Session):
    """A database of parts, which change where they stand."""

    program = "opencode"

    def begin(self) -> None:
        path = self.root / "opencode.db"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(path, isolation_level=None)
        weakref.finalize(self, self.connection.close)  # Python 3.13 warns of one that is left open
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.executescript("""
            CREATE TABLE IF NOT EXISTS session (id text PRIMARY KEY, parent_id text, title text,
                time_updated integer);
            CREATE TABLE IF NOT EXISTS message (id text PRIMARY KEY, session_id text, data text);
            CREATE TABLE IF NOT EXISTS part (id text PRIMARY KEY, message_id text, session_id text,
                time_updated integer, data text);
        """)
        self.at = round(time.time() * 1000) - 600_000
        row = (self.id, None, "A session", self.at)
        self.connection.execute("INSERT INTO session VALUES (?, ?, ?, ?)", row)

    def part(self, role: str, number: int, **data: Any) -> None:
        self.at += 1000
        about = {"role": role, "modelID": "m", "time": {"created": self.at}}
        id = f"{self.id}-{number}"
        with self.connection as at_once:
            at_once.execute("BEGIN")
            row = (f"m{id}", self.id, json.dumps(about))
            at_once.execute("INSERT OR IGNORE INTO message VALUES (?, ?, ?)", row)
            whole = (f"p{id}", f"m{id}", self.id, self.at, json.dumps(data))
            at_once.execute("INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?, ?)", whole)
            changed = (self.at, self.id)
            at_once.execute("UPDATE session SET time_updated = ? WHERE id = ?", changed)

    def prompt(self, text: str) -> Writing:
        self.part("user", self.next(), type="text", text=text)
        self.saw("prompt", text)
        self.truth.is_now("running")
        yield

    def tool(self, command: str, ok: bool, result: str) -> Writing:
        number = self.next()
        call = {"type": "tool", "callID": f"c{number}", "tool": "bash"}
        given = {"input": {"command": command}, "time": {"start": self.at}}
        self.part("assistant", number, **call, state={"status": "running"} | given)
        yield
        found = (
            {"status": "completed", "output": result}
            if ok
            else {"status": "error", "error": result}
        )
        self.part("assistant", number, **call, state=given | found)
        self.used_tool("bash", command, result)
        yield

    def say(self, text: str) -> Writing:
        self.part("assistant", self.next(), type="text", text=text, time={"start": 1, "end": 2})
        tokens = {"input": 10, "output": 10, "reasoning": 0, "cache": {"read": 100, "write": 0}}
        self.part(
            "assistant", self.next(), type="step-finish", reason="stop", cost=0, tokens=tokens
        )
        self.saw("say", text)
        self.truth.use(10, 10, 100)
        self.truth.is_now("awaiting_feedback", "idle")
        yield

    def close(self) -> None:
        self.connection.close()


class Goose(Session):
    """A database of messages, which is written again when a conversation is compacted."""

    program = "goose"

    def begin(self) -> None:
        path = self.root / "sessions.db"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(path, isolation_level=None)
        weakref.finalize(self, self.connection.close)  # Python 3.13 warns of one that is left open
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.executescript("""
            CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, name TEXT, working_dir TEXT,
                updated_at TIMESTAMP, accumulated_input_tokens INTEGER DEFAULT 0,
                accumulated_output_tokens INTEGER DEFAULT 0);
            CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT,
                role TEXT, content_json TEXT, created_timestamp INTEGER);
        """)
        self.kept: list[tuple[str, str, str, int]] = []
        row = (self.id, "New session", "/w/app")
        query = "INSERT INTO sessions (id, name, working_dir) VALUES (?, ?, ?)"
        self.connection.execute(query, row)

    def add(self, role: str, *content: dict[str, Any]) -> None:
        self.kept.append((self.id, role, json.dumps(content), 1_795_681_800 + len(self.kept)))
        given, out = (10, 10) if role == "assistant" else (0, 0)
        self.truth.use(given, out, 0)
        with self.connection as at_once:
            at_once.execute("BEGIN IMMEDIATE")
            self._insert(self.kept[-1])
            at_once.execute(
                "UPDATE sessions SET updated_at = datetime('now'), accumulated_input_tokens ="
                " accumulated_input_tokens + ?, accumulated_output_tokens ="
                " accumulated_output_tokens + ? WHERE id = ?",
                (given, out, self.id),
            )

    def _insert(self, message: tuple[str, str, str, int]) -> None:
        self.connection.execute("INSERT INTO messages VALUES (NULL, ?, ?, ?, ?)", message)

    def prompt(self, text: str) -> Writing:
        self.add("user", {"type": "text", "text": text})
        self.saw("prompt", text)
        self.truth.is_now("running")
        yield

    def tool(self, command: str, ok: bool, result: str) -> Writing:
        id = f"c{self.next()}"
        call = {"status": "success", "value": {"name": "shell", "arguments": {"command": command}}}
        self.add("assistant", {"type": "toolRequest", "id": id, "toolCall": call})
        yield
        text = [{"type": "text", "text": result}]
        found = {"status": "success", "value": {"content": text, "isError": not ok}}
        self.add("user", {"type": "toolResponse", "id": id, "toolResult": found})
        self.used_tool("shell", command, result)
        yield

    def say(self, text: str) -> Writing:
        self.add("assistant", {"type": "text", "text": text})
        self.saw("say", text)
        self.truth.is_now("awaiting_feedback", "idle")
        yield

    def odd(self) -> Writing:
        if self.chance.random() < 0.3:
            with self.connection as at_once:
                at_once.execute("BEGIN IMMEDIATE")
                at_once.execute("DELETE FROM messages WHERE session_id = ?", (self.id,))
                for message in self.kept:
                    self._insert(message)
            yield

    def close(self) -> None:
        self.connection.close()


class Cursor(Session):
    """Roles and blocks, without times or tokens."""

    program = "cursor"

    def begin(self) -> None:
        folder = self.root / "projects" / "app" / "agent-transcripts" / self.id
        self.path = folder / f"{self.id}.jsonl"

    def write(self, role: str, *blocks: dict[str, Any]) -> None:
        append(self.path, {"role": role, "message": {"content": list(blocks)}})

    def prompt(self, text: str) -> Writing:
        self.write("user", {"type": "text", "text": text})
        self.saw("prompt", text)
        self.truth.is_now("running")
        yield

    def tool(self, command: str, ok: bool, result: str) -> Writing:
        id = f"c{self.next()}"
        call = {"type": "tool_use", "id": id, "name": "Shell", "input": {"command": command}}
        self.write("assistant", call)
        yield
        self.write("user", {"type": "tool_result", "tool_use_id": id, "content": result})
        self.used_tool("Shell", command, result)
        yield

    def say(self, text: str) -> Writing:
        self.write("assistant", {"type": "text", "text": text})
        yield
        append(self.path, {"type": "turn_ended"})
        self.saw("say", text)
        self.truth.is_now("awaiting_feedback", "idle")
        yield


class OpenHands(Session):
    """A file for each event, and a state that is written behind them."""

    program = "openhands"
    can_wait = True

    def begin(self) -> None:
        self.folder = self.root / self.id
        (self.folder / "events").mkdir(parents=True)
        self.events = 0
        self.state("idle")
        self.truth.is_now("awaiting_feedback", "idle")

    def state(self, status: str) -> None:
        draft = self.folder / "base_state.draft"
        draft.write_text(json.dumps({"execution_status": status}))
        draft.rename(self.folder / "base_state.json")

    def event(self, kind: str, **members: Any) -> None:
        draft = self.folder / "draft"
        draft.write_text(json.dumps({"kind": kind, "timestamp": self.stamp()} | members))
        draft.rename(self.folder / "events" / f"event-{self.events:05}-x.json")
        self.events += 1

    def message(self, source: str, text: str) -> None:
        self.event("MessageEvent", source=source, llm_message={"content": text})

    def prompt(self, text: str) -> Writing:
        self.message("user", text)
        self.saw("prompt", text)
        yield
        self.state("running")
        self.truth.is_now("running")
        yield

    def wait(self, command: str) -> Writing:
        self.state("waiting_for_confirmation")
        self.truth.is_now("awaiting_feedback", "permission")
        yield
        self.state("running")
        self.truth.is_now("running")
        yield

    def tool(self, command: str, ok: bool, result: str) -> Writing:
        call = {"tool_name": "terminal", "tool_call_id": f"t{self.next()}"}
        self.event("ActionEvent", **call, action={"command": command})
        yield
        self.event("ObservationEvent", **call, observation={"content": result, "is_error": not ok})
        self.used_tool("terminal", command, result)
        yield

    def say(self, text: str) -> Writing:
        self.message("agent", text)
        yield
        self.state("idle")
        self.saw("say", text)
        self.truth.is_now("awaiting_feedback", "idle")
        yield


class MiniSwe(Session):
    """One file that is written again at each step; now and then it is seen half written."""

    program = "mini-swe"

    def begin(self) -> None:
        self.path = self.root / f"{self.id}.traj.json"
        self.messages: list[dict[str, Any]] = [{"role": "system", "content": "You are an agent."}]

    def add(self, role: str, text: str) -> Writing:
        self.messages.append({"role": role, "content": text})
        whole = json.dumps({"messages": self.messages, "info": {}})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.chance.random() < 0.3:
            self.path.write_text(whole[: len(whole) // 2])
            yield
        self.path.write_text(whole)
        yield

    def prompt(self, text: str) -> Writing:
        kind = "prompt" if len(self.messages) == 1 else "tool_result"
        yield from self.add("user", text)
        self.saw(kind, text)
        self.truth.is_now("running")

    def tool(self, command: str, ok: bool, result: str) -> Writing:
        yield from self.add("assistant", command)
        self.saw("say", command)
        yield from self.add("user", result)
        self.saw("tool_result", result)

    def say(self, text: str) -> Writing:
        yield from self.add("assistant", text)
        self.saw("say", text)


AGENTS: tuple[type[Session], ...] = (
    *(Gemini, Qwen, Copilot, Cline, Opencode, Goose),
    *(Cursor, OpenHands, MiniSwe),
)


_PLACES = {"cline": ".cline/data/tasks", "opencode": ".local/share/opencode"}
_PLACES |= {"goose": ".local/share/goose/sessions", "openhands": ".openhands/conversations"}
_PLACES |= {"mini-swe": ".config/mini-swe-agent"}


def roots(home: Path) -> dict[str, Path]:
    """Where each of them keeps its sessions beneath a home."""
    return {each.program: home / _PLACES.get(each.program, f".{each.program}") for each in AGENTS}
