"""What a server is asked when a run's spool is fed to it.

The run is created, then the spool goes up as it is: as `lines` of the source `spool.jsonl`, each of
which is a message. The server answers with the committed cursor of that source, and takes every line
once, whoever sends it and however often.
"""

import logging
from pathlib import Path
from typing import Any

import orjson

from runcast import errors
from runcast.client import runs as rest
from runcast.client.clients import Client
from runcast.client.exchange import ONCE
from runcast.messages import lines as lines_message
from runcast.rundir import RunDirectory
from runcast.spool import Portion

logger = logging.getLogger("runcast")

SOURCE = "spool.jsonl"
_ARTIFACT = b'"type":"artifact:created"'
_WORTH_RETRYING = frozenset({401, 403, 408, 425, 429})
_CREATION_FIELDS = ("name", "phase", "current_step", "steps", "agent_type", "agent_name", "task_id")


class Stopped(errors.RuncastError):
    """The server will never take this run."""


class Uplink:
    """One run's way to one server.

    Methods raise `Unreachable` or `ApiError` where it is worth trying again, `Stopped` where not.
    """

    def __init__(self, client: Client, directory: RunDirectory) -> None:
        self._client = client
        self._directory = directory
        self._run_id = ""

    def open(self) -> tuple[int, int]:
        """Makes the run known; answers the line and byte from which the server needs the spool."""
        run = self._directory.read_run()
        self._run_id = str(run["id"])
        self._create(run)
        return self._send(Portion([], 1, 0, 0))

    def send(self, portion: Portion, closed: dict[str, Any] | None = None) -> tuple[int, int]:
        """Sends lines of the spool; answers the line and byte that the server needs next."""
        for line in portion.lines:
            if _ARTIFACT in line:
                self._upload(line)
        return self._send(portion, closed)

    def heartbeat(self, expect_next_in_s: float | None) -> bool:
        """Says that the run lives; answers whether it was cancelled."""
        call = rest.heartbeat(self._run_id, expect_next_in_s=expect_next_in_s)
        return bool(self._client.send(call, ONCE).get("cancelled"))

    def _send(self, portion: Portion, closed: dict[str, Any] | None = None) -> tuple[int, int]:
        message = lines_message(
            self._run_id,
            SOURCE,
            [line.decode("utf-8", "replace") for line in portion.lines],
            first_line=portion.first_line,
            first_offset=portion.first_offset,
        )
        message["next_offset"] = portion.next_offset
        if closed:
            message["closed"] = closed
        try:
            answer = self._client.send(rest.add_lines(self._run_id, message), ONCE)
        except errors.ApiError as error:
            raise _judged(error) from error
        return int(answer["next_line"]), int(answer["next_offset"])

    def _create(self, run: dict[str, Any]) -> None:
        """A run that is there is taken; a missing project is made; a taken key gets an ending."""
        fields = {
            name: run.get(name) for name in ("id", "key", "input", "metadata", *_CREATION_FIELDS)
        }
        fields = {name: value for name, value in fields.items() if value is not None}
        fields["status"] = "queued"
        try:
            self._create_once(run["project"], fields)
        except errors.NotFound:
            self._create_project(run["project"])
            self._create_once(run["project"], fields)

    def _create_once(self, project: str, fields: dict[str, Any]) -> None:
        try:
            self._client.send(rest.create_run(project, **fields), ONCE)
        except errors.NotFound:
            raise
        except errors.Conflict as error:
            if "key" not in fields or fields["key"].endswith(fields["id"][-6:]):
                raise Stopped(str(error)) from error
            key = f"{fields['key'][:121]}-{fields['id'][-6:]}"
            logger.warning(
                "the key %s is taken in %s: there the run is %s", fields["key"], project, key
            )
            self._create_once(project, {**fields, "key": key})
        except errors.ApiError as error:
            raise _judged(error) from error

    def _create_project(self, slug: str) -> None:
        try:
            self._client.send(rest.create_project(slug, slug=slug), ONCE)
        except errors.Conflict:
            pass  # somebody else made it in the same moment
        except errors.Forbidden as error:
            raise Stopped(f"there is no project {slug}, and it may not be made") from error
        except errors.ApiError as error:
            raise _judged(error) from error

    def _upload(self, line: bytes) -> None:
        """Sends an artifact's file; its entry in the spool then adds nothing."""
        data = orjson.loads(line)["data"]
        if "content" in data:
            return
        file = self._beneath(data["path"])
        if file is None:
            logger.warning("%s: the artifact %s is not there", self._directory.path, data["path"])
            return
        named = {"id": data["artifact_id"], "media_type": data["media_type"]}
        try:
            call = rest.upload_artifact(self._run_id, data["step_name"], file, **named)
            self._client.send(call, ONCE)
        except errors.ApiError as error:
            if _is_worth_retrying(error):
                raise
            logger.warning("the server refused the artifact %s: %s", file, error)

    def _beneath(self, path: str) -> Path | None:
        root = self._directory.path.resolve()
        file = (root / path).resolve()
        return file if file.is_relative_to(root) and file.is_file() else None


def _is_worth_retrying(error: errors.ApiError) -> bool:
    return error.status >= 500 or error.status in _WORTH_RETRYING


def _judged(error: errors.ApiError) -> errors.RuncastError:
    return error if _is_worth_retrying(error) else Stopped(str(error))
