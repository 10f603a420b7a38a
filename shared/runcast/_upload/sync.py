"""Sends a run from its files, once through: what `runcast sync` does with each directory.

A directory with a spool is fed from it. One without (another program's) is fed from `logs.txt` and
`events.jsonl`, which have cursors of their own, and its status, artifacts and output are taken over.
"""

import dataclasses
import os
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runcast import contract, errors
from runcast._recording import artifacts, files, locks
from runcast._recording.line_splitter import Lines, split
from runcast._recording.run_directory import RunDirectory
from runcast._recording.spool import SpoolReader
from runcast._support import acceptable, traces
from runcast._upload.uplink import Uplink
from runcast.client.clients import Client
from runcast.contract import LOG_FILE, TERMINAL_STATUSES, TEXT_BYTES


@dataclass
class Report:
    """What became of one directory. `error` says why nothing more was sent."""

    name: str
    sent_bytes: int = 0
    state: str = "sent"
    is_over: bool = True
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def sync(client: Client, directory: RunDirectory, project: str | None = None) -> Report:
    """Sends what the server doesn't have yet. Raises `Unreachable` and errors of sign-in; whatever else goes
    wrong with a directory costs that directory."""
    report = Report(directory.path.name)
    try:
        fd = os.open(directory.path, os.O_RDONLY | files.FLAGS)
        try:
            if locks.try_lock(fd):
                _send(client, directory, project, report)
            else:
                report.state, report.is_over = "being sent by its own program", False
        finally:
            os.close(fd)
    except (errors.Unreachable, errors.Unauthorized, errors.Unavailable):
        raise
    except (errors.RuncastError, OSError) as error:
        report.error = str(error)
    except Exception as error:  # files of other programs hold anything
        report.error = repr(error)
    return report


def _send(client: Client, directory: RunDirectory, project: str | None, report: Report) -> None:
    status = _status(directory)
    is_over = status is not None and status["status"] in TERMINAL_STATUSES
    report.is_over = is_over or status is None
    is_ours = directory.spool.exists()
    run = directory.read_run() if is_ours else _named(directory, project)
    uplink = Uplink(client, directory, run)
    uplink.open()
    for path in (directory.spool,) if is_ours else (directory.events, directory.logs):
        if path.exists():
            feed = _feed if is_ours else _feed_log
            report.sent_bytes += feed(uplink, path, is_over)
    if not is_ours:
        for artifact in [*directory.read_artifacts(), *_output(directory, run, is_over)]:
            uplink.upload(artifact)
        if status is not None and is_over:
            uplink.end(status["status"], status.get("error"))


def _feed(uplink: Uplink, path: Path, is_over: bool) -> int:
    """Sends a spool to its end; answers the bytes that the server didn't have."""
    reader = SpoolReader(path)
    line, offset = uplink.cursor(path.name)
    start = offset
    reader.seek(line, offset)
    while (portion := reader.read()).lines:
        line, offset = uplink.send(path.name, portion)
        reader.seek(line, offset)
    if is_over:
        uplink.send(path.name, portion, closed={"reason": "status"})
    return offset - start


def _feed_log(uplink: Uplink, path: Path, is_over: bool) -> int:
    """Sends the log of another program as the tailer does: a CR before the line's end and a byte order mark
    are no text, the sentinel is the last line, and so is one without an end if the run is over."""
    reader = SpoolReader(path)
    line, offset = uplink.cursor(path.name)
    start = offset
    is_closed = False
    above: list[str] = []
    reader.seek(line, offset)
    while not is_closed and (data := _data(reader, is_over)):
        for lines in split(
            data if data.endswith(b"\n") else data + b"\n",
            offset=reader.offset,
            limit=TEXT_BYTES,
            has_sentinel=path.name == LOG_FILE,
        ):
            size = min(lines.size, len(data))
            is_closed = lines.is_end
            sent = dataclasses.replace(lines, size=size)
            closed = "sentinel" if is_closed else None
            line, offset = uplink.send_log(
                path.name, reader.line, reader.offset, sent, closed, above
            )
            above = traces.context(above, lines.texts)
            if (line, offset) == (reader.line, reader.offset):
                return offset - start  # the server wants no more of it
            reader.seek(line, offset)
            data = data[lines.size :]
    if is_over and not is_closed:
        uplink.send_log(path.name, reader.line, reader.offset, Lines([], 0), "status")
    return offset - start


def _data(reader: SpoolReader, is_over: bool) -> bytes:
    """The next lines as they stand in the file; at the end what has no end, if nothing will follow."""
    portion = reader.read()
    if portion.lines:
        return b"".join(each + b"\n" for each in portion.lines)
    return reader.rest() if is_over else b""


def _status(directory: RunDirectory) -> dict[str, Any] | None:
    try:
        return directory.read_status()
    except FileNotFoundError:
        return None


def _output(
    directory: RunDirectory, run: dict[str, Any], is_over: bool
) -> Iterator[dict[str, Any]]:
    """output.zip of a run that is over; its id is made of its content, so it is known again."""
    path = directory.output
    if not is_over or not path.is_file():
        return
    digest = artifacts.digest(path)
    own_id = acceptable.as_uuid(run.get("id", ""))
    yield {
        "artifact_id": str(uuid.uuid5(own_id or uuid.NAMESPACE_URL, f"{path.name} {digest}")),
        "step_name": "output",
        "media_type": "application/zip",
        "path": path.name,
    }


def _named(directory: RunDirectory, project: str | None) -> dict[str, Any]:
    """The run of a directory that another program wrote: its run.json, or what its name says."""
    try:
        return directory.read_run()
    except FileNotFoundError:
        name = directory.path.name
        named = {"id": name} if acceptable.as_uuid(name) else {"key": acceptable.key(name)}
        return {
            **named,
            "project": project or os.environ.get("RUNCAST_PROJECT") or contract.DEFAULT_PROJECT,
        }
