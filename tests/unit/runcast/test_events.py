"""The catalogue of events is whole, and is what the documents say."""

from pathlib import Path

import pytest

from runcast import events

NAMES = sorted(
    value
    for name, value in vars(events).items()
    if name.isupper() and isinstance(value, str) and name != "CUSTOM_PREFIX"
)
CATALOGUE = (Path(__file__).parents[3] / "docs" / "events.md").read_text()


IDS = {"run_id", "task_id", "subtask_id", "ids"}


@pytest.mark.parametrize("name", NAMES)
def test_an_event_is_described_here_and_in_the_documents(name: str) -> None:
    [row] = [line for line in CATALOGUE.splitlines() if line.startswith(f"| `{name}` ")]
    own = set(events.DATA[name].__annotations__) - IDS
    assert [field for field in own if f"`{field}`" not in row and field not in row] == []


def test_a_gap_says_from_where_to_where() -> None:
    assert set(events.Gap.__annotations__) == {"from", "to", "reason", "refetch", "project_id"}
