"""The REST application: its routes in one block, and what is around them."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from runcast_api import openapi
from runcast_api.dependencies import Api
from runcast_api.http import problems
from runcast_api.http.bytes_sent import BytesSent
from runcast_api.http.conditional import Conditional
from runcast_api.http.console import Console
from runcast_api.http.fast_route import Shortcut
from runcast_api.http.problems import Refusals
from runcast_api.http.security_headers import Sealing
from runcast_api.mcp_door import McpDoor, McpRoute
from runcast_api.routes import (
    admin,
    agents,
    answer_links,
    artifacts,
    auth,
    deletion,
    events,
    exports,
    invitations,
    keys,
    log_reads,
    logs,
    members,
    metrics,
    notifications,
    otlp,
    projects,
    questions,
    root,
    run_sets,
    runs,
    runtime,
    share_links,
    subtasks,
    tails,
    tasks,
    usage,
    webhooks,
)

DESCRIPTION = "A self-hosted hub for the runs of AI agents: every run live, no line lost."

_ANSWERED = (HTTPException, RequestValidationError)
"""What FastAPI would answer in its own way; everything else goes up to `Refusals`."""


def create(api: Api, version: str) -> FastAPI:
    """The application over these parts."""
    app = FastAPI(
        title="Runcast",
        version=version,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        exception_handlers=dict.fromkeys(_ANSWERED, problems.handle),
    )
    app.state.api = api
    app.state.console = Console.built_in()
    app.include_router(logs.router)
    app.include_router(subtasks.claim_router)
    app.include_router(log_reads.router)
    app.include_router(deletion.router)
    app.include_router(run_sets.router)
    app.include_router(metrics.router)
    app.include_router(runs.router)
    app.include_router(artifacts.router)
    app.include_router(tails.router)
    app.include_router(events.router)
    app.include_router(exports.router)
    app.include_router(questions.router)
    app.include_router(usage.router)
    app.include_router(agents.router)
    app.include_router(otlp.router)
    app.include_router(webhooks.router)
    app.include_router(notifications.router)
    app.include_router(answer_links.router)
    app.include_router(tasks.router)
    app.include_router(subtasks.router)
    app.include_router(runtime.router)
    app.include_router(projects.router)
    app.include_router(members.router)
    app.include_router(keys.router)
    app.include_router(share_links.router)
    app.include_router(invitations.router)
    app.include_router(auth.router)
    app.include_router(admin.router)
    app.include_router(root.router)
    app.state.mcp = McpDoor(api, app, version)
    app.add_middleware(McpRoute, door=app.state.mcp)
    app.add_middleware(Shortcut, handler=logs.add_logs)
    app.add_middleware(Refusals)
    app.add_middleware(Conditional)
    app.add_middleware(BytesSent, count=lambda *sent: api.people.requests.count_bytes(*sent))
    app.add_middleware(Sealing)
    openapi.complete(app)
    return app
