"""A batch of lines is made ready in small turns, and the same as at once."""

from __future__ import annotations

from collections import Counter
from uuid import uuid4

import pytest
from tests import turns

from runcast_api.ingest import line_batch, messages
from runcast_api.ingest.run_lookup import Address
from runcast_api.logs import sources
from runcast_server.eventlog import segments

pytestmark = pytest.mark.anyio


async def test_others_have_turns_while_a_batch_is_made_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: Counter[int] = Counter()
    packed: Counter[int] = Counter()
    lines_of, pack = sources.lines_of, segments.pack

    def noting(key: sources.SourceKey, batch: sources.Batch) -> segments.Lines:
        made[counted.number] += len(batch.texts)
        return lines_of(key, batch)

    def noting_packs(records: bytes) -> tuple[int, bytes]:
        packed[counted.number] += records.count(b"\n") + 1
        return pack(records)

    monkeypatch.setattr(sources, "lines_of", noting)
    monkeypatch.setattr(segments, "pack", noting_packs)
    address = Address(uuid4(), uuid4())
    given = [
        messages.understand(
            {
                "type": "lines",
                "run_id": str(address.run_id),
                "source": "logs.txt",
                "generation": 1,
                "first_line": 1 + 100 * number,
                "first_offset": 200 * number,
                "lines": ["x"] * 100,
            }
        )
        for number in range(50)
    ]
    async with turns.counted() as counted:
        ready = await line_batch.prepare((message, address) for message in given)
    assert ready is not None
    assert ready.moves.popitem()[1].end_line == 5_001
    assert sum(made.values()) == 5_000
    assert max(made.values()) <= line_batch.TURN_LINES
    assert sum(packed.values()) == sum(one.length for _, one in ready.segments) == 5_000
    assert max(packed.values()) <= segments.MAX_RECORDS
