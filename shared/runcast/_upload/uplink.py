"""What a server is asked when a run's spool is fed to it.

The run is created, then the spool goes up as it is: as `lines` of the source `spool.jsonl`, each of
which is a message. The server answers with the committed cursor of that source, and takes every line
once, whichever process sends it and however often.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from runcast import errors
from runcast._recording.line_splitter import Lines
from runcast._recording.messages import lines as lines_message
from runcast._recording.run_directory import RunDirectory
from runcast._recording.spool import Portion
from runcast._support import acceptable, traces
from runcast.client import runs as rest
from runcast.client.calls import given
from runcast.client.clients import Client
from runcast.client.exchange import ONCE
from runcast.contract import RUN_FIELDS, SPOOL_FILE

logger = logging.getLogger("runcast")

Json = dict[str, Any]

_ARTIFACT = b'"type":"artifact:created"'
_CONTENT = frozenset({"content", "content_base64"})
_WORTH_RETRYING = frozenset({401, 403, 408, 425, 429})
_OF_CONTENT = frozenset({400, 413, 422})
"""Refusals of what a request holds."""
_NEWER = ("labels", "parent_run_id", "parent_key", "aliases")
"""Fields that an older server doesn't know."""
_BARE = frozenset({"id", "key", "steps", "current_step", "status"})


class Stopped(errors.RuncastError):
    """The server will never take this run."""


class Uplink:
    """One run's way to one server.

    Methods raise `Unreachable` or `ApiError` where it is worth trying again, `Stopped` where not.
    """

    def __init__(self, client: Client, directory: RunDirectory, run: Json) -> None:
        self.client = client
        self._directory = directory
        self._run = run
        self.run_id = str(run.get("id"))

    def open(self) -> None:
        """Makes the run known, and its project where that is missing. One that is there is taken."""
        fields = {name: self._run.get(name) for name in ("id", *RUN_FIELDS)}
        if acceptable.as_uuid(fields["id"]) is None:
            del fields["id"]  # a run that is known by its key, to every other reporter, too
        known = {name: value for name, value in fields.items() if value is not None and value != {}}
        known["status"] = "queued"
        project = self._run["project"]
        try:
            self._create(project, known)
        except errors.NotFound:
            self._create_project(project)
            self._create(project, known)

    def cursor(self, source: str) -> tuple[int, int]:
        """The line and byte from which the server needs a source. A spool is named by its first message's
        id: where the server has another spool of this run, that is `Stopped`."""
        spool = self._directory.spool_id() if source == SPOOL_FILE else None
        try:
            return self._post(source, Portion([], 1, 0, 0), [], None, spool=spool)
        except errors.ApiError as error:
            raise _judged(error) from error

    def send(self, source: str, portion: Portion, closed: Json | None = None) -> tuple[int, int]:
        """Sends lines; answers the line and byte that the server needs next, which may be in the
        middle: an artifact's file goes after what came before it in the spool."""
        if source == SPOOL_FILE:
            files = [n for n, line in enumerate(portion.lines) if file_of(line) is not None]
            if files and files[0] == 0:
                self.upload(file_of(portion.lines[0]) or {})
                files = files[1:]
            if files:
                return self._send(source, portion.before(files[0]), None)
        return self._send(source, portion, closed)

    def send_log(
        self,
        source: str,
        line: int,
        offset: int,
        lines: Lines,
        closed: str | None,
        above: Sequence[str] = (),
    ) -> tuple[int, int]:
        """Sends lines of a log that another program wrote, from this line and byte on. `above`: the lines
        before, as far as these belong to them (`traces`)."""
        portion = Portion([], line, offset, offset + lines.size)
        flags = {str(place): each for place, each in lines.flags.items()}
        try:
            return self._post(
                source,
                portion,
                lines.texts,
                {"reason": closed} if closed else None,
                flags,
                above=traces.needed(above, lines.texts),
            )
        except errors.ApiError as error:
            raise _judged(error) from error

    def upload(self, artifact: Json) -> None:
        """Sends an artifact's file, once per `artifact_id`; its entry in the spool adds nothing
        then. One that is not there, or refused, or that can't be made sense of, is named in a warning: it
        must not keep what follows."""
        try:
            self._upload(artifact)
        except errors.ApiError as error:
            if _is_worth_retrying(error):
                raise
            logger.warning("the server refused the artifact %s: %s", artifact.get("path"), error)
        except errors.RuncastError:
            raise
        except Exception as error:  # whatever a line holds costs that line alone
            folder, path = self._directory.path, artifact.get("path")
            logger.warning("%s: the artifact %s can't be sent: %r", folder, path, error)

    def heartbeat(self, expect_next_in_s: float | None) -> bool:
        """Says that the run lives; answers whether it was cancelled."""
        call = rest.heartbeat(self.run_id, expect_next_in_s=expect_next_in_s)
        return bool(self.client.send(call, ONCE).get("cancelled"))

    def end(self, status: str, error: str | None) -> None:
        """The end of a run whose files tell no more than that. One that is over stays so."""
        call = rest.update_run(self.run_id, status=status, **given(error=error))
        try:
            self.client.send(call, ONCE)
        except errors.Conflict:
            pass
        except errors.ApiError as problem:
            raise _judged(problem) from problem

    def _upload(self, artifact: Json) -> None:
        path = artifact.get("path")
        file = self._beneath(path) if isinstance(path, str) else None
        if file is None:
            logger.warning("%s: the artifact %s is not there", self._directory.path, path)
            return
        named = {"id": artifact["artifact_id"], "media_type": artifact["media_type"]}
        call = rest.upload_artifact(self.run_id, artifact["step_name"], file, **named)
        self.client.send(call, ONCE)

    def _send(self, source: str, portion: Portion, closed: Json | None) -> tuple[int, int]:
        """Sends a portion. Where the server refuses it for its content, the line to blame is found, and
        an empty one takes its place: one line is lost, with a warning, instead of all behind it."""
        texts = [line.decode("utf-8", "replace") for line in portion.lines]
        try:
            return self._post(source, portion, texts, closed)
        except errors.ApiError as error:
            if error.status not in _OF_CONTENT or not any(texts):
                raise _judged(error) from error
            if len(texts) > 1:
                return self._send(source, portion.before(len(texts) // 2), None)
            number, path = portion.first_line, self._directory.path / source
            logger.warning("the server refuses line %d of %s: %s", number, path, error)
        return self._post(source, portion, [""], closed)

    def _post(
        self,
        source: str,
        portion: Portion,
        texts: list[str],
        closed: Json | None,
        flags: Json | None = None,
        spool: str | None = None,
        above: Sequence[str] = (),
    ) -> tuple[int, int]:
        message = lines_message(
            self.run_id,
            source,
            texts,
            first_line=portion.first_line,
            first_offset=portion.first_offset,
        )
        message["next_offset"] = portion.next_offset
        if closed:
            message["closed"] = closed
        if flags:
            message["flags"] = flags
        if spool:
            message["spool"] = spool
        if above:
            message["above"] = list(above)
        answer = self.client.send(rest.add_lines(self.run_id, message), ONCE)
        return int(answer["next_line"]), int(answer["next_offset"])

    def _create(self, project: str, fields: Json) -> None:
        try:
            call = rest.create_run(project, **fields).with_headers(Runcast_Directory="true")
            self.run_id = str(self.client.send(call, ONCE)["id"])
        except errors.NotFound:
            raise
        except errors.Conflict as error:
            self._create_beside(project, fields, error)
        except errors.ApiError as error:
            fewer = _fewer(fields)
            if error.status not in _OF_CONTENT or fewer == fields:
                raise _judged(error) from error
            if not fields.keys() & set(_NEWER):
                logger.warning("the server refuses what run %s is made of: %s", self.run_id, error)
            self._create(project, fewer)

    def _create_beside(self, project: str, fields: Json, error: errors.Conflict) -> None:
        """The key is another run's at the server. Ours gets an ending; a run that has no id of its
        own (it was only named) is that other one."""
        if "key" not in fields:
            raise Stopped(str(error)) from error
        if "id" not in fields:
            there = self.client.send(rest.get_run(fields["key"], project=project), ONCE)
            self.run_id = str(there["id"])
            return
        ending = fields["id"][-6:]
        if fields["key"].endswith(ending):
            raise Stopped(str(error)) from error
        key = f"{fields['key'][:121]}-{ending}"
        logger.warning(
            "the key %s is taken in %s: there the run is %s", fields["key"], project, key
        )
        self._create(project, {**fields, "key": key})

    def _create_project(self, slug: str) -> None:
        try:
            self.client.send(rest.create_project(slug, slug=slug), ONCE)
        except errors.Conflict:
            pass  # someone else made it in the same moment
        except errors.Forbidden as error:
            raise Stopped(f"project {slug} doesn't exist and this token can't create it") from error
        except errors.ApiError as error:
            raise _judged(error) from error

    def _beneath(self, path: str) -> Path | None:
        root = self._directory.path.resolve()
        file = (root / path).resolve()
        return file if file.is_relative_to(root) and file.is_file() else None


def file_of(line: bytes) -> Json | None:
    """The artifact that a line of a spool is, if its content is not in the line."""
    if _ARTIFACT not in line:  # not parsed for nothing: most lines are none
        return None
    try:
        message = orjson.loads(line)
    except ValueError:
        return None
    if not isinstance(message, dict) or message.get("type") != "artifact:created":
        return None
    data = message.get("data")
    return data if isinstance(data, dict) and not data.keys() & _CONTENT else None


def _fewer(fields: Json) -> Json:
    """What to try after a refusal: what every server knows, then the bare run."""
    if fields.keys() & set(_NEWER):
        return {name: value for name, value in fields.items() if name not in _NEWER}
    return {name: value for name, value in fields.items() if name in _BARE}


def _is_worth_retrying(error: errors.ApiError) -> bool:
    return error.status >= 500 or error.status in _WORTH_RETRYING


def _judged(error: errors.ApiError) -> errors.RuncastError:
    return error if _is_worth_retrying(error) else Stopped(str(error))
