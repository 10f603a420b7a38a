"""An export's events and lines as one Parquet table (the extra `runcast[parquet]` brings pyarrow).

A row is an event or a line. Row groups are written and sent one after another, compressed with zstd, so any
length needs the memory of one group.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import pyarrow
import pyarrow.parquet

from runcast_api.exports import content
from runcast_api.exports.content import Record, Source
from runcast_api.exports.sink import Sink
from runcast_server.eventlog.frames import LOG_TYPE

MEDIA_TYPE = "application/vnd.apache.parquet"
SUFFIX = ".parquet"
GROUP_ROWS = 20_000
GROUP_BYTES = 16 * 1024 * 1024

_TEXTS = (
    "type",
    "run_id",
    "level",
    "agent_name",
    "event_type",
    "message",
    "payload",
    "source",
    "data",
)
_NUMBERS = ("id", "line_number", "source_line")
SCHEMA = pyarrow.schema(
    [
        ("id", pyarrow.int64()),
        ("ts", pyarrow.timestamp("ms", tz="UTC")),
        ("type", pyarrow.string()),
        ("run_id", pyarrow.string()),
        ("line_number", pyarrow.int64()),
        ("level", pyarrow.string()),
        ("agent_name", pyarrow.string()),
        ("event_type", pyarrow.string()),
        ("message", pyarrow.string()),
        ("payload", pyarrow.string()),
        ("source", pyarrow.string()),
        ("source_line", pyarrow.int64()),
        ("data", pyarrow.string()),
    ]
)
"""`ts` is a line's own time, or when an event was committed. `payload` (of a line) and `data` (of any other
event) are JSON as text."""


async def pieces(source: Source) -> AsyncIterator[bytes]:
    """The export, piece by piece."""
    sink = Sink()
    writer = pyarrow.parquet.ParquetWriter(
        pyarrow.PythonFile(sink, mode="w"), SCHEMA, compression="zstd"
    )
    async for rows in _groups(source):
        await asyncio.to_thread(_write, writer, rows)
        yield sink.take()
    await asyncio.to_thread(writer.close)
    yield sink.take()


def _write(writer: pyarrow.parquet.ParquetWriter, rows: Sequence[Record]) -> None:
    writer.write_table(_table(rows))


async def _groups(source: Source) -> AsyncIterator[list[Record]]:
    """Rows of about one group's size."""
    rows: list[Record] = []
    size = 0
    async for records in content.records(source):
        new = [_row(record) for record in records]
        rows += new
        size += sum(len(row["message"] or row["data"] or "") for row in new)
        if len(rows) >= GROUP_ROWS or size >= GROUP_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _row(record: Record) -> Record:
    """A record with the table's columns."""
    if record["kind"] == "event":
        data = record["data"]
        row = {"id": record["id"], "ts": record["at"], "type": record["type"]}
        return _COLUMNS | row | {"run_id": data.get("run_id"), "data": _json(data)}
    payload = None if record["payload"] is None else _json(record["payload"])
    return _COLUMNS | {"type": LOG_TYPE} | record | {"payload": payload}


_COLUMNS: Record = dict.fromkeys((*_NUMBERS, "ts", *_TEXTS))


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _table(rows: Sequence[Record]) -> pyarrow.Table:
    columns = []
    for field in SCHEMA:
        values = [row[field.name] for row in rows]
        if field.name == "ts":
            columns.append(pyarrow.array(values, pyarrow.string()).cast(field.type))
        else:
            columns.append(pyarrow.array(values, field.type))
    return pyarrow.Table.from_arrays(columns, schema=SCHEMA)
