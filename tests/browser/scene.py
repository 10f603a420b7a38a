"""A project with something of everything, for the tests of pages and for their pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.browser.agent import Api

Json = dict[str, Any]

LINES = (
    "Resolving constraints …",
    "\x1b[32m✓\x1b[0m tests/unit/test_levels.py::test_gravity \x1b[2m(0.12s)\x1b[0m",
    "[10:42:07] Calling tool read_file(path='src/engine/physics.ts')",
    "Thinking about the collision between the asteroid and the player's ship",
    "\x1b[1;33mwarning\x1b[0m: unused variable `velocity` at src/engine/body.ts:42",
    "Wrote 214 lines to assets/levels/level-07.json",
    "POST https://api.example.test/v1/messages 200 in 1842 ms, 3,112 tokens in, 488 out",
    "Plan: 1) split the renderer, 2) move input handling, 3) add a replay recorder",
    "\x1b[31mAssertionError\x1b[0m: expected 9.81 but got 9.79",
    "Reading 14 files under src/render to see who calls drawSprite()",
    "diff --git a/src/main.ts b/src/main.ts",
)
TRACE = (
    "Traceback (most recent call last):",
    '  File "release.py", line 41, in publish',
    "    upload(bundle)",
    "ConnectionError: the registry refused the upload (429)",
)
AGENTS = ("IdeaGenerator", "TopicCritic", "Outliner", "Coder", "Reviewer")
RUNS = (
    ("Sprite painter", "Coder", 64, "idea"),
    ("Physics tuner", "Coder", 22, "topic_critic"),
    ("Sound mixer", "IdeaGenerator", 35, "idea"),
    ("Play tester", "Reviewer", 81, "outline"),
    ("Balance checker", "TopicCritic", 47, "topic_critic"),
    ("Docs writer", "Outliner", 90, "outline"),
    ("Refactor bot", "Coder", 12, "idea"),
    ("Spec writer", "Outliner", 58, "topic_critic"),
)


@dataclass(frozen=True)
class Scene:
    project: Json
    """Under way, with lines and artifacts."""
    run: Json
    task: Json


def build(api: Api, name: str) -> Scene:
    """Runs under way and ended, artifacts in versions, a board, workers and their events."""
    project = api.project(name)
    runs = [_busy(api, project, *each, seed=n) for n, each in enumerate(RUNS)]
    done = api.run(project, name="Bug hunter", agent_name="Reviewer")
    api.log(done, "found one", "fixed it")
    usage = {"input_tokens": 48_200, "output_tokens": 9_100, "requests": 31, "cost_usd": 0.42}
    api.change(done, usage=usage)
    api.change(done, status="completed", pr_url="https://git.example.test/space/pull/41")
    failed = api.run(project, name="Release captain", agent_name="Coder")
    api.log(failed, *(f"step {n} of the release" for n in range(40)))
    api.log(failed, *TRACE, level="error", source="stderr")
    api.change(failed, status="failed", error="The model refused three times: rate limit")
    _artifacts(api, runs[-1])
    child = api.run(
        project, name="Reference reader", agent_name="Explorer", parent_run_id=runs[-1]["id"]
    )
    api.log(child, "Reading the style guide")
    api.change(runs[-1], usage=usage)
    _asked(api, runs[1])
    _let_in(api, project)
    task = _board(api, project)
    _runtime(api)
    return Scene(project, runs[-1], task)


def _asked(api: Api, run: Json) -> None:
    """The agent waits for a person."""
    question = {
        "kind": "permission",
        "title": "Bash: npm run bench -- --gravity 9.81",
        "tool": {"name": "Bash", "input": {"command": "npm run bench -- --gravity 9.81"}},
    }
    api.call("POST", f"/runs/{run['id']}/questions", json=question)


def _let_in(api: Api, project: Json) -> None:
    """A row in each list of the settings."""
    path = f"/projects/{project['id']}"
    api.call("POST", f"{path}/keys", json={"name": "Build machine", "role": "reporter"})
    hook = {"url": "https://hooks.example.test/space", "types": ["run:status_changed:failed"]}
    api.call("POST", f"{path}/webhooks", json=hook)
    api.call("POST", f"{path}/share-links", json={})
    invited = {"email": "ada@example.test", "project": project["id"], "role": "editor"}
    api.call("POST", "/invitations", json=invited)


def _busy(
    api: Api, project: Json, name: str, agent: str, percent: int, step: str, *, seed: int
) -> Json:
    run = api.run(project, name=name, agent_name=agent, agent_type="WORKER")
    entries = [
        {
            "message": LINES[(n * 7 + seed) % len(LINES)],
            "level": {4: "warning", 8: "error"}.get((n * 7 + seed) % len(LINES), "info"),
            "agent_name": AGENTS[(n * 3 + seed) % len(AGENTS)],
        }
        for n in range(160)
    ]
    api.call("POST", f"/runs/{run['id']}/logs", json=entries)
    api.change(run, current_step=step)
    progress = {"stage": step, "message": "Reading the engine", "percent": percent}
    api.call("POST", f"/runs/{run['id']}/progress", json=progress)
    return run


def _artifacts(api: Api, run: Json) -> None:
    path = f"/runs/{run['id']}/artifacts"
    idea = {"title": "Space Blaster", "summary": "A top-down shooter", "weapons": ["laser"]}
    api.call("POST", path, json={"step_name": "idea", "content": idea})
    better = idea | {"summary": "A top-down shooter with gravity wells", "levels": 9}
    api.call("POST", path, json={"step_name": "idea", "content": better})
    text = b"# Outline\n\n1. **Drift** through the asteroid belt\n2. Meet the boss\n\n> Keep it short.\n"
    api.call(
        "POST",
        path,
        data={"step_name": "outline"},
        files={"file": ("outline.md", text, "text/markdown")},
    )


def _board(api: Api, project: Json) -> Json:
    subtasks = [
        {"title": "Define the file format", "key": "format"},
        {"title": "Record inputs and seeds", "key": "record", "depends_on": ["format"]},
        {"title": "Play a file back", "key": "play", "depends_on": ["format"]},
        {
            "title": "Share button in the pause menu",
            "key": "share",
            "depends_on": ["record", "play"],
        },
        {"title": "Document it for modders", "key": "docs"},
        {"title": "Benchmark recording at 240 Hz", "key": "bench"},
    ]
    body = {
        "title": "Add a replay recorder",
        "description": "Every session can be watched again, and shared as a file.",
        "subtasks": subtasks,
    }
    task: Json = api.call("POST", f"/projects/{project['id']}/tasks", json=body)
    ids = {subtask["key"]: subtask["id"] for subtask in task["subtasks"]}
    api.call("POST", f"/tasks/{task['id']}/activate", json={})
    moves: tuple[tuple[str, str, Json], ...] = (
        ("format", "start", {}),
        ("format", "complete", {"pr_url": "https://git.example.test/space/pull/40"}),
        ("record", "start", {}),
        ("docs", "start", {}),
        ("docs", "review", {}),
        ("bench", "start", {}),
        ("bench", "fail", {"reason": "Timed out at 240 Hz on the slow machine"}),
    )
    for key, move, members in moves:
        api.call("POST", f"/subtasks/{ids[key]}/{move}", json=members)
    worker = api.run(
        project,
        name="Record inputs",
        agent_type="WORKER",
        task_id=ids["record"],
        agent_name="Coder",
    )
    api.log(worker, *(f"recording frame {n}" for n in range(60)), agent_name="Coder")
    planned: Json = api.call(
        "POST", f"/projects/{project['id']}/tasks", json={"title": "Controller support"}
    )
    planner = api.run(project, name="Plan controllers", agent_type="PLANNER", task_id=planned["id"])
    api.log(planner, *(f"considering option {n}" for n in range(20)))
    return task


def _runtime(api: Api) -> None:
    workers = (
        ("worker-a1", "RUNNING", None),
        ("worker-a2", "IDLE", None),
        ("worker-b1", "DEGRADED", "provider rate limit"),
    )
    for worker, status, reason in workers:
        report = {
            "agent_type": "coder",
            "status": status,
            "circuit_open": reason is not None,
            "circuit_reason": reason,
        }
        api.call("PUT", f"/workers/{worker}/status", json=report)
    kinds = (
        ("provider_runtime", "CALL", "CALL_OK", "large"),
        ("provider_runtime", "FALLBACK", "RATE_LIMITED", "large"),
        ("tool_runtime", "TOOL_CALL", "TOOL_OK", "read_file"),
        ("worker", "BREAKER", "BREAKER_OPENED", "worker-b1"),
    )
    events = [
        {
            "layer": layer,
            "operation": operation,
            "reason_code": reason,
            "entity_id": entity,
            "worker_id": "worker-a1",
            "metadata": {"provider": "anthropic", "model": "large", "ms": 180 + 37 * n},
        }
        for n, (layer, operation, reason, entity) in enumerate(kinds * 4)
    ]
    api.call("POST", "/runtime/events", json=events)
