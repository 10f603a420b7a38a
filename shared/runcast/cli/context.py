"""What every command gets from the line before it: the server, and how to speak to it."""

import importlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from runcast import contract, errors
from runcast._support.acceptable import as_uuid
from runcast._support.server_config import Connection, find

if TYPE_CHECKING:
    from runcast.client.clients import AsyncClient, Client

Context = typer.Context


@dataclass(frozen=True)
class Options:
    """The options before the command."""

    url: str | None = None
    token: str | None = None


def options(ctx: Context) -> Options:
    return ctx.obj if isinstance(ctx.obj, Options) else Options()


def server_of(ctx: Context) -> Connection | None:
    """The server to use, or None if none is known."""
    try:
        return find(options(ctx).url, options(ctx).token)
    except errors.NotConfigured:
        return None


def connect(ctx: Context) -> "Client":
    """A client for the server to use. Raises `NotConfigured`."""
    made: Client = _clients().Client(options(ctx).url, options(ctx).token)
    return made


def connect_async(ctx: Context) -> "AsyncClient":
    made: AsyncClient = _clients().AsyncClient(options(ctx).url, options(ctx).token)
    return made


def _clients() -> Any:
    """Imported when a server is asked: what only reads files starts without an HTTP client."""
    return importlib.import_module("runcast.client.clients")


def project_or_default(project: str | None) -> str:
    return project or os.environ.get("RUNCAST_PROJECT") or contract.DEFAULT_PROJECT


def project_of(run: str, project: str | None) -> str | None:
    """The project to name beside a run: one that is named by its key needs one."""
    return project if as_uuid(run) else project_or_default(project)
