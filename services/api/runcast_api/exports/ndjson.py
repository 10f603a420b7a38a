"""An export as lines of JSON, each with its `kind`: `project`, `run`, `artifact`, `event`, `log`, `end`.

The last line is `{"kind": "end", "events": n, "lines": n}`: a file without it was cut.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import orjson

from runcast_api.artifacts.artifacts import JSON_MEDIA_TYPE, embedded
from runcast_api.artifacts.store import INLINE_BYTES
from runcast_api.exports import content
from runcast_api.exports.content import Artifact, Source

MEDIA_TYPE = "application/x-ndjson"
SUFFIX = ".ndjson"


async def pieces(source: Source) -> AsyncIterator[bytes]:
    """The export, piece by piece."""
    yield _line("project", {"project": source.project})
    async for page in content.runs(source):
        for run in page:
            yield _line("run", {"run": run})
            for artifact in await content.artifacts(source, run["id"]):
                yield _line("artifact", {"artifact": await _with_content(source, artifact)})
    counts = {"event": 0, "log": 0}
    async for records in content.records(source):
        for record in records:
            counts[record["kind"]] += 1
        yield b"".join(
            [orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in records]
        )
    yield _line("end", {"events": counts["event"], "lines": counts["log"]})


def _line(kind: str, members: dict[str, Any]) -> bytes:
    return orjson.dumps({"kind": kind} | members, option=orjson.OPT_APPEND_NEWLINE)


async def _with_content(source: Source, artifact: Artifact) -> dict[str, Any]:
    """JSON as it is, anything else in base64; what is larger than 1 MiB is only described (a zip has it)."""
    if artifact.object_key is not None or artifact.shown["size"] > INLINE_BYTES:
        return artifact.shown
    stored = await content.inline_content(source, artifact)
    if artifact.shown["media_type"] == JSON_MEDIA_TYPE and (json := embedded(stored)) is not None:
        return artifact.shown | {"content": json}
    return artifact.shown | {"content_base64": base64.b64encode(stored).decode()}
