"""Names that would lead elsewhere are refused before anything is sent."""

import pytest

from runcast import errors
from runcast.client.calls import Call, path


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_every_client_resolves_is_refused(name: str) -> None:
    with pytest.raises(errors.InvalidName, match="can't be the name"):
        path("/runs/{}", name)
    assert issubclass(errors.InvalidName, ValueError)


def test_text_that_utf_8_can_not_hold_is_sent_all_the_same() -> None:
    """Arguments of a command line are bytes, and may be none of UTF-8's."""
    assert path("/runs/{}", "a\udcff") == "/runs/a%EF%BF%BD"
    params = Call("GET", "/", {"q": "\udcff", "labels": ["a", "\udcff"]}).arguments()["params"]
    assert params == {"q": "\ufffd", "labels": "a,\ufffd"}
