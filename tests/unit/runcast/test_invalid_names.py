"""Names that would lead elsewhere are refused before anything is sent."""

import pytest

from runcast import errors
from runcast.client.calls import path


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_every_client_resolves_is_refused(name: str) -> None:
    with pytest.raises(errors.InvalidName, match="can't be the name"):
        path("/runs/{}", name)
    assert issubclass(errors.InvalidName, ValueError)
