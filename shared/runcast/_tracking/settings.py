"""How a run is tracked: what the program asked for, and what its surroundings say."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from runcast import errors
from runcast._recording.open_run import Resume
from runcast._recording.run_directory import runs_dir
from runcast._support import acceptable, server_config
from runcast._support.encoding import as_text
from runcast._support.server_config import Connection
from runcast.contract import HEARTBEAT_SECONDS

Mode = Literal["online", "offline", "disabled"]

FLUSH_SECONDS = 5.0
PATIENCE = 12
"""The end waits at most this many times `flush_seconds`, as long as the server takes something."""


@dataclass
class Settings:
    """`joins`: the run of another process, in which this one takes part; `parent`: the run that a new one
    belongs to."""

    run_id: str | None
    project: str | None
    root: Path
    fields: dict[str, Any]
    json_logs: bool = False
    captures: bool = False
    resume: Resume = "allow"
    job: str | None = None
    handles_signals: bool = False
    flush_seconds: float = FLUSH_SECONDS
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    is_disabled: bool = False
    server: Connection | None = None
    joins: str | None = None
    trouble: str | None = None
    """What is wrong with the surroundings, for a warning."""
    otherwise: tuple[str, str | None] = field(
        default=("failed", "the program ended without finishing the run")
    )
    """How the run ends if the program ends without saying so."""

    def take_root(self, given: Any) -> None:
        """The folder of runs that the program names, where it is one."""
        if given is None:
            return
        try:
            self.root = runs_dir(os.fsdecode(given))
        except Exception as error:  # a host's own path may raise anything
            self.trouble = (
                f"runs_dir can't be a folder ({as_text(error)}): the run is in {self.root}"
            )

    def take_surroundings(
        self,
        url: str | None,
        token: str | None,
        mode: Mode | None,
        *,
        may_join: bool = True,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Finds the server, and the run of `runcast exec` that this process belongs to."""
        surroundings = self._surrounding_mode(environ)
        if mode is None or (mode == "offline" and surroundings == "disabled"):
            mode = surroundings
        self.is_disabled = mode == "disabled"
        if mode == "online":
            self._find_server(url, token)
        outer = environ.get("RUNCAST_RUN_ID")
        if outer and self.fields.get("parent_run_id") is None:
            if may_join and self.job is None and self.run_id in (None, outer):
                self.joins = outer
            else:
                self.fields["parent_run_id"] = outer

    def _surrounding_mode(self, environ: Mapping[str, str]) -> Mode:
        if environ.get("RUNCAST_DISABLED", "").strip().lower() in ("1", "true", "yes"):
            return "disabled"
        return (
            mode_of(environ.get("RUNCAST_MODE", "").strip().lower() or "online", self) or "online"
        )

    def _find_server(self, url: str | None, token: str | None) -> None:
        try:
            self.server = server_config.find(text_of(url), text_of(token))
        except errors.NotConfigured as error:
            if url is not None or token is not None or os.environ.get("RUNCAST_URL"):
                self.trouble = as_text(error)


def run_id_of(given: Any) -> str | None:
    """A run's id or key as a text, whatever it was given as."""
    if given is None:
        return None
    known = acceptable.as_uuid(given)
    return acceptable.printable(given) if known is None else str(known)


def text_of(given: Any) -> str | None:
    """A project's or a job's name as a text; None where it says nothing."""
    return None if given is None else acceptable.printable(given) or None


def seconds_of(given: Any, otherwise: float) -> float:
    """A time in seconds; what is none, or has no end, is the usual one."""
    try:
        seconds = float(given)
    except Exception:  # a host's own __float__ may raise anything
        return otherwise
    return seconds if 0 <= seconds <= 86_400 else otherwise


def mode_of(given: Any, settings: Settings, *, is_offline: Any = False) -> Mode | None:
    """The mode that a text names. One that is none is taken for `offline`, with a warning: the files can be
    sent later, and what was meant to stay here does."""
    known: dict[str, Mode] = {"online": "online", "offline": "offline", "disabled": "disabled"}
    found = None if given is None else known.get(acceptable.printable(given))
    if given is not None and found is None:
        settings.trouble = (
            f"there is no mode {acceptable.printable(given)[:100]!r} (online, offline, disabled): "
            "the run is offline"
        )
        found = "offline"
    return "offline" if acceptable.truth(is_offline) and found != "disabled" else found
