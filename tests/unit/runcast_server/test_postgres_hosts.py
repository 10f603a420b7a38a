"""URLs of Postgres with one host or several."""

import asyncio
import socket

import pytest

from runcast_server import postgres_hosts


@pytest.mark.parametrize(
    ("url", "hosts", "one_by_one"),
    [
        (
            "postgresql://a:b@h1,h2:5/db?target_session_attrs=read-write",
            ["h1", "h2:5"],
            [
                "postgresql://a:b@h1/db?target_session_attrs=read-write",
                "postgresql://a:b@h2:5/db?target_session_attrs=read-write",
            ],
        ),
        (
            "postgresql:///db?host=/a,/b&port=1,2",
            ["/a", "/b"],
            ["postgresql:///db?host=/a&port=1", "postgresql:///db?host=/b&port=2"],
        ),
        ("postgresql://u@[::1]:5/db", ["[::1]:5"], ["postgresql://u@[::1]:5/db"]),
    ],
)
def test_hosts_of_a_url(url: str, hosts: list[str], one_by_one: list[str]) -> None:
    assert postgres_hosts.fault(url) is None
    assert postgres_hosts.hosts(url) == hosts
    assert postgres_hosts.each(url) == one_by_one
    assert postgres_hosts.place(url) == ", ".join(hosts)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("mysql://h/db", "must be a URL that starts with postgresql://"),
        ("postgresql://h:x/db", "names a port that is no number"),
        ("postgresql://h1,h2:99999/db", "names a port that is no number"),
        ("postgresql://h/db?target_session_attrs=up", "target_session_attrs must be one of any"),
        ("postgresql://h/db?sslmode", "has a query that can't be read"),
        ("postgresql://h/db?sslmode=on", "sslmode must be one of allow, disable"),
        ("postgresql://h/db?sslmode=require&channel_binding=require", "leave channel_binding out"),
        ("postgresql://h/db?sslrootcert=/no/where.pem", "the file /no/where.pem: No such file"),
        ("postgresql://[::1/db", "an IPv6 address stands in brackets"),
        ("postgresql://u:hunter2/x@h/db", "percent-encode special characters"),
        ("postgresql://u:1/hunter2@h/db", "an @ behind its host: percent-encode"),
        ("postgresql://u:1#hunter2@h/db", "percent-encode"),
        ("postgresql://u:1?hunter2@h/db", "percent-encode"),
        ("postgresql://u:hunter2%x@h/db", "a % without two hexadecimal digits"),
        ("postgresql://u:hunter2]@h/db", "percent-encode"),
        ("postgresql://u:hunter2℀@h/db", "percent-encode"),
        ("postgresql://u:hunter2%00@h/db", "a NUL"),
        ("postgresql://h:²/db", "names a port that is no number"),
        (f"postgresql://{','.join('abcdefghi')}/db", "names 9 hosts; 8 at most"),
    ],
)
def test_what_is_wrong_with_a_url_is_said(url: str, fault: str) -> None:
    said = str(postgres_hosts.fault(url))
    assert fault in said
    assert "hunter2" not in said


def test_a_standby_s_url_takes_the_login_of_each_role() -> None:
    other = "postgresql://role:secret@primary/db"
    assert postgres_hosts.with_login("postgresql://standby:5/db", other) == (
        "postgresql://role:secret@standby:5/db"
    )
    assert postgres_hosts.with_login("postgresql://own@standby/db", other) == (
        "postgresql://own@standby/db"
    )


def test_a_host_that_answers_nothing_leaves_time_for_the_next_one() -> None:
    """Two that take connections and stay silent: each is given up after its share."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        hosts = ",".join(f"127.0.0.1:{each.getsockname()[1]}" for each in (one, two))
        url = f"postgresql://u@{hosts}/db?sslmode=disable"
        with pytest.raises(TimeoutError):
            asyncio.run(postgres_hosts.connect(url, seconds=0.4))
        for each in (one, two):
            each.settimeout(10)
            each.accept()[0].close()
