"""A stand-in for Claude Code: it writes the same session file and runs the same hooks, and knows the truth.

    python -IS claude.py HOME HOOK SESSION SEED

Its work is a prompt, some tools, one permission, a last word. The permission is asked in its own "terminal"
(the file HOME/SESSION.terminal, which a test writes) and beside it in the hook, as in Claude Code. The first
of both counts, and the hook isn't stopped when the terminal was faster. What it did is in
HOME/SESSION.truth.json at the end; that it waits, in HOME/SESSION.waits.
"""

import datetime
import json
import os
import random
import subprocess
import sys
import time

home, hook_program, session, seed = sys.argv[1:]
chance = random.Random(int(seed))
folder = os.path.join(home, "projects", "-w-app")
transcript = os.path.join(folder, session + ".jsonl")
left = []
entries = []
number = 0
GIVE_UP_SECONDS = 300


def stamp():
    return (
        datetime.datetime.now(datetime.UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def record(kind, content, **more):
    """A line of the session's file, and what it should become."""
    global number
    number += 1
    line = {
        "type": kind, "uuid": f"{session}-{number}", "timestamp": stamp(), "sessionId": session,
        "cwd": "/w/app", "version": "2.1.300", "gitBranch": "main",
        "message": {"role": kind, "content": content} | more,
    }  # fmt: skip
    with open(transcript, "a") as file:
        file.write(json.dumps(line) + "\n")


def hook(event, is_left=False, flags=(), **members):
    given = {
        "session_id": session, "transcript_path": transcript, "cwd": "/w/app", "prompt_id": "p1",
        "permission_mode": "default", "hook_event_name": event,
    } | members  # fmt: skip
    process = subprocess.Popen(
        [hook_program, "claude", *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.stdin.write(json.dumps(given))
    process.stdin.close()
    if is_left:
        left.append(process)
        return process
    return process.stdout.read(), process.wait()


def used(tool, given, is_allowed=True):
    """A tool that was used: its two records, and the hook."""
    call = f"toolu_{number}"
    tokens = {"input_tokens": 4, "output_tokens": 10, "cache_read_input_tokens": 100,
              "cache_creation_input_tokens": 20}  # fmt: skip
    block = {"type": "tool_use", "id": call, "name": tool, "input": given}
    message = {
        "id": f"msg_{number}",
        "model": "claude-sonnet-5",
        "usage": tokens,
        "stop_reason": None,
    }
    record("assistant", [block], **message)
    entries.append(f"tool {tool}: {given['command']}")
    result = {
        "type": "tool_result",
        "tool_use_id": call,
        "content": "done" if is_allowed else "denied",
    }
    record("user", [result | {"is_error": not is_allowed}])
    entries.append("tool_result " + ("done" if is_allowed else "denied"))
    if is_allowed:
        hook("PostToolUse", tool_name=tool, tool_input=given, tool_use_id=call)


def permission(given):
    """Who gave it, and what: the terminal or the hook, whichever is first; and what the hook printed."""
    asked = hook("PermissionRequest", True, ["--hold"], tool_name="Bash", tool_input=given)
    with open(os.path.join(home, session + ".waits"), "w") as file:
        file.write(given["command"])
    terminal = os.path.join(home, session + ".terminal")
    until = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < until:
        if asked.poll() is not None:
            said = asked.stdout.read()
            if said:
                return "hook", json.loads(said)["hookSpecificOutput"]["decision"]["behavior"], asked
        if os.path.exists(terminal):
            return "terminal", "allow", asked
        time.sleep(0.02)
    return "nobody", "deny", asked


os.makedirs(folder, exist_ok=True)
hook("SessionStart", source="startup", model="claude-sonnet-5")
record("user", f"Task {seed}")
entries.append(f"prompt Task {seed}")
hook("UserPromptSubmit", prompt=f"Task {seed}")
for step in range(chance.randint(0, 2)):
    used("Bash", {"command": f"echo {step}"})
command = {"command": f"deploy {seed}", "description": "Deploy"}
source, behavior, asked = permission(command)
used("Bash", command, behavior == "allow")
late = asked.stdout.read() if source == "terminal" else ""
asked.wait()
for process in left:
    process.wait()
last = f"Session {seed} is done."
record(
    "assistant", [{"type": "text", "text": last}], id="msg_end", model="claude-sonnet-5",
    stop_reason="end_turn",
    usage={"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": 0,
           "cache_creation_input_tokens": 0},
)  # fmt: skip
entries.append(f"say {last}")
hook("Stop", last_assistant_message=last, background_tasks=[])
with open(os.path.join(home, session + ".idle"), "w") as file:
    file.write("")
until = time.monotonic() + GIVE_UP_SECONDS
while not os.path.exists(os.path.join(home, "end")) and time.monotonic() < until:
    time.sleep(0.02)
hook("SessionEnd", reason="prompt_input_exit")
draft = os.path.join(home, session + ".draft")
with open(draft, "w") as file:
    json.dump({"source": source, "behavior": behavior, "late": late, "entries": entries}, file)
os.replace(draft, os.path.join(home, session + ".truth.json"))
