"""What every command gets from the line before it: the server, and how to speak to it."""

import importlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from runcast import errors
from runcast._support.server_config import Connection, find
from runcast.contract import DEFAULT_PROJECT

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
    """The server to use, or None if none is known. Raises `NotConfigured` where one is named by a URL
    that is none: what is asked of it must not be answered from files."""
    given = options(ctx)
    try:
        return find(given.url, given.token)
    except errors.NotConfigured:
        if given.url or os.environ.get("RUNCAST_URL"):
            raise
        return None


def connect(ctx: Context, *, patient: bool = False) -> "Client":
    """A client for the server to use. Raises `NotConfigured`.

    A request that fails is told at once: someone waits at a terminal. With `patient`, for work of
    many requests, only a server that isn't there at the start is.
    """
    once = importlib.import_module("runcast.client.exchange").ONCE
    made: Client = _clients().Client(
        options(ctx).url, options(ctx).token, patience=None if patient else once
    )
    if patient:
        made.send(importlib.import_module("runcast.client.admin").server(), once)
    return made


def connect_async(ctx: Context) -> "AsyncClient":
    made: AsyncClient = _clients().AsyncClient(options(ctx).url, options(ctx).token)
    return made


def _clients() -> Any:
    """Imported when a server is asked: what only reads files starts without an HTTP client."""
    return importlib.import_module("runcast.client.clients")


def named_project() -> str | None:
    """The project that the environment names."""
    return os.environ.get("RUNCAST_PROJECT") or None


def project_or_default(project: str | None) -> str:
    return project or named_project() or DEFAULT_PROJECT
