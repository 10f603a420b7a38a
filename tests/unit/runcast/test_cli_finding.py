"""Which run is meant by what somebody types."""

import pytest

from runcast import errors
from runcast.cli.finding import the_one

RUNS = [
    {"id": "01977000-0000-7000-8000-0000aaaa1111", "key": "nightly"},
    {"id": "01977000-0000-7000-8000-0000aaaa2222", "key": "nightly-2"},
    {"id": "01977abc-0000-7000-8000-0000bbbb3333", "key": None},
]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("nightly", 0),
        ("nightly-", 1),
        ("01977a", 2),
        ("bbbb3333", 2),
        ("BBBB3333", 2),
        ("333", None),
        ("ightly", None),
        (RUNS[1]["id"], 1),
    ],
)
def test_a_name_that_only_one_has_is_enough(name: str, meant: int | None) -> None:
    assert the_one(name, RUNS) == (None if meant is None else RUNS[meant])


@pytest.mark.parametrize("name", ["night", "01977"])
def test_what_several_have_names_them(name: str) -> None:
    with pytest.raises(errors.Conflict, match=r"nightly \(aaaa1111\)"):
        the_one(name, RUNS)
