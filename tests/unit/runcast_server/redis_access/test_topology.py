"""Which server of a cluster holds which slot."""

from __future__ import annotations

import pytest
from redis.exceptions import ConnectionError

from runcast_server.redis_access.topology import ALONE, Topology, parsed

ANSWER = [
    [8192, 16383, [b"", 2, b"id"], [b"c", 3, b"id"]],
    [0, 8191, [b"a", 1, b"id", [b"hostname", b"h"]]],
]


def test_an_answer_names_the_primaries_and_a_server_without_an_address_is_the_one_asked() -> None:
    topology = parsed(ANSWER, "asked")
    assert topology.servers == {("a", 1), ("asked", 2)}
    assert topology.owner("{foo}x") == ("asked", 2)  # slot 12182
    assert topology.owner("{hello}x") == ("a", 1)  # slot 866
    assert topology == parsed(list(reversed(ANSWER)), "asked")


def test_a_tag_is_found_at_each_server_and_at_none_that_holds_nothing() -> None:
    topology = parsed(ANSWER, "asked")
    for server in topology.servers:
        assert topology.owner(f"x{{{topology.tag_at(server, 'hub:1')}}}") == server
    with pytest.raises(ConnectionError, match="holds no slot"):
        topology.tag_at(("gone", 1), "hub:1")


def test_a_slot_that_nobody_holds_has_no_owner() -> None:
    assert parsed([[0, 100, [b"a", 1, b"id"]]], "asked").owner("{foo}") is None


def test_one_server_holds_everything() -> None:
    topology = Topology.of_one_server()
    assert topology.owner("anything") == ALONE
    assert topology.servers == {ALONE}
