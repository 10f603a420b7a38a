"""URLs of Redis: one server, a cluster, sentinels."""

from __future__ import annotations

import pytest

from runcast._support import redis_url


@pytest.mark.parametrize(
    ("url", "kind", "place", "plain"),
    [
        ("redis://h", "server", "h:6379", "redis://h"),
        ("rediss://u:p@h:1/2?protocol=3", "server", "h:1", "rediss://u:p@h:1/2?protocol=3"),
        ("unix://:p@/a/b.sock?db=1", "server", "/a/b.sock", "unix://:p@/a/b.sock?db=1"),
        ("redis+cluster://a:1,b", "cluster", "a:1,b:6379", "redis://a:1"),
        (
            "rediss+cluster://u:p@a,[::1]:2/0?ssl_ca_certs=/c",
            "cluster",
            "a:6379,::1:2",
            "rediss://u:p@a:6379?ssl_ca_certs=/c",
        ),
        ("redis+cluster://[::1]", "cluster", "::1:6379", "redis://[::1]:6379"),
        (
            "redis+sentinel://:p@a,b:3/main/4?sentinel_password=s&protocol=3",
            "sentinel",
            "a:26379,b:3",
            "redis://:p@a:26379/4?protocol=3",
        ),
    ],
)
def test_a_url_is_understood(url: str, kind: str, place: str, plain: str) -> None:
    parsed = redis_url.parse(url)
    assert (parsed.kind, parsed.place, parsed.plain) == (kind, place, plain)


def test_sentinels_have_a_name_and_a_password_of_their_own() -> None:
    parsed = redis_url.parse(
        "redis+sentinel://h/my%20main?sentinel_username=u&sentinel_password=s%2F"
    )
    assert parsed.service == "my main"
    assert (parsed.sentinel_username, parsed.sentinel_password) == ("u", "s/")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "must be a URL"),
        ("h:6379", "must be a URL"),
        ("http://h", "must be a URL"),
        ("redis://a:1,b:2", "redis+cluster://"),
        ("redis://:secret@h:99999", "port that is no number from 1 to 65535"),
        ("redis+cluster://:secret@h:x", "port that is no number from 1 to 65535"),
        ("redis+cluster://h/3", "only database 0"),
        ("redis+sentinel://:secret@h", "the name that the sentinels know"),
        ("redis+cluster://:secret@[::1", "IPv6"),
    ],
)
def test_a_wrong_url_is_explained_without_its_secrets(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".*") as raised:
        redis_url.parse(url)
    assert says in str(raised.value)
    assert "secret" not in str(raised.value)
