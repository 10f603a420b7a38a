"""What the tailer says to the ingester: batches of lines as messages of the ingest stream."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from runcast import contract
from runcast_tailer.file_reader import Batch


@dataclass(slots=True)
class Sender:
    """Whose lines they are. `run` addresses the run: `run_id`, or `project` with `run_id` or `key`.

    `auth` is the secret of the ingest stream, where one is set.
    """

    run: dict[str, Any]
    source: str
    auth: str | None = None
    zone: str | None = None
    """The time zone of times without an offset (IANA), where one is known."""
    streams: int = 1
    """Into how many streams the ingest is split."""

    @property
    def stream(self) -> str:
        """The ingest stream of this run's messages."""
        return contract.tailer_stream(
            str(self.run.get("run_id") or self.run.get("key")), self.streams
        )

    def encode(self, batch: Batch) -> bytes:
        """The `lines` message of a batch. `at` is the file's time, with the local offset from UTC:
        the date of lines that carry a time of day."""
        message: dict[str, Any] = {
            "type": "lines",
            **self.run,
            "source": self.source,
            "generation": batch.first.generation,
            "first_line": batch.first.line,
            "first_offset": batch.first.offset,
            "next_offset": batch.after.offset,
            "lines": batch.texts,
        }
        if self.zone is not None:
            message["zone"] = self.zone
        if (at := _local_time(batch.modified)) is not None:
            message["at"] = at
        if batch.file is not None:
            message["file"] = {
                "device": batch.file.device,
                "inode": batch.file.inode,
                "fingerprint": batch.fingerprint,
                "offset": batch.after.offset,
            }
        if self.auth is not None:
            message["auth"] = self.auth
        if batch.above:
            message["above"] = batch.above
        if batch.flags:
            message["flags"] = {str(number): flags for number, flags in batch.flags.items()}
        if batch.closed:
            message["closed"] = {"reason": batch.closed}
            if batch.closed_size:
                lines, size = batch.closed_size
                message["closed"] |= {"lines": lines, "bytes": size}
        if batch.bytes_after_end:
            message["bytes_after_end"] = batch.bytes_after_end
        return orjson.dumps(message)


def _local_time(seconds: float) -> str | None:
    """None for a time beyond the calendar, which file systems can hold."""
    try:
        return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return None
