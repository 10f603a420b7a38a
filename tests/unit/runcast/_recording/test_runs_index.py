"""One entry of index.json changed without reading the others: what reading all of it would give."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast._recording import run_directory, runs_index
from runcast._support import encoding

texts = st.sampled_from(
    ["", "a", '},{"id":"x"', '"},{"id":"', '\\"', "]}", '{"total":1,"runs":[', "ä"]
)
runs = st.builds(
    lambda id, made, name: {
        "id": id,
        "name": name,
        "created_at": f"2026-01-0{made}",
        "error": name,
    },
    st.sampled_from(["a", "b", "ab", 'a"', '"},{"id":"b']),
    st.integers(1, 3),
    texts,
)


@given(st.lists(runs, max_size=8))
def test_it_is_what_reading_everything_gives(changes: list[dict[str, str]]) -> None:
    content = encoding.encode(run_directory._ordered([]))
    for entry in changes:
        others = [each for each in orjson.loads(content)["runs"] if each["id"] != entry["id"]]
        whole = encoding.encode(run_directory._ordered([entry, *others]))
        quick = runs_index.with_entry(content, entry)
        assert quick in (None, whole)
        content = whole


def test_the_usual_changes_are_quick() -> None:
    content: bytes | None = b'{"total":0,"runs":[]}'
    for number in range(3):
        for status in ("running", "completed"):
            assert content is not None
            entry = {"id": f"r{number}", "status": status, "created_at": f"2026-01-0{number + 1}"}
            content = runs_index.with_entry(content, entry)
    assert content is not None
    index = orjson.loads(content)
    assert index["total"] == 3
    assert [(each["id"], each["status"]) for each in index["runs"]] == [
        ("r2", "completed"),
        ("r1", "completed"),
        ("r0", "completed"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"total": 0, "runs": []}',
        b'{"total":1,"runs":[]}',
        b'{"total":1,"runs":[{"id":"a"',
        b'{"total":1,"runs":[7]}',
        b'{"total":1,"runs":[{"id":"z","created_at":5}]}',
    ],
)
def test_what_is_not_our_own_form_is_read_whole(content: bytes) -> None:
    assert runs_index.with_entry(content, {"id": "b", "created_at": "2026"}) is None
