"""What an attacker costs everybody else: the p99 of a quiet project beside each attack, over its p99 alone.

    python -m bench.hostile [--seconds 4] [--only regex,headers] [--costs]

Each attack is what one attacker with few connections can send without end, with no token, a share link or a
reporter's key. All in one run of one server with its default limits: only the ratios mean something. The
mark is 2, and the server's memory must stay where it was. Attackers give way to the others on this
machine's processors, since they have their own elsewhere. Connections that the server closes are made again.

With `--costs`: the server's processor time for each request of an attack, over that of an ordinary request.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from bench import floods
from bench.fairness import Quiet, clients, lengthen, shown
from bench.floods import LINE
from bench.latency import new_run
from bench.server import Server, compiled, machine, server

ATTACKING_CLIENTS = 4
MEBIBYTE = 1024 * 1024

POSTER = Path(__file__).with_name("poster.c")
SLOW = "slow bodies"


def raw(
    one: Server | None, what: str, body: bytes = b"", headers: str = "", kind: str = "json"
) -> bytes:
    """A request as bytes; without a server it shows no token."""
    head = f"{what} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{headers}"
    head += f"Content-Type: application/{kind}\r\n"
    head += f"Authorization: Bearer {one.token}\r\n" if one else ""
    return f"{head}\r\n".encode() + body


def attacks(one: Server) -> dict[str, bytes]:
    """The request of each attack, by its name."""
    _, run = new_run(one, "attacked")
    lengthen(one, run)
    with one.http() as made:
        key = made.post("/projects/attacked/keys", json={"name": "k", "role": "reporter"})
        link = made.post("/projects/attacked/share-links", json={})
    reporter = replace(one, token=key.raise_for_status().json()["token"])
    shared = replace(one, token=link.raise_for_status().json()["token"])
    logs = f"POST /runs/{run}/logs"
    search = f"GET /runs/{run}/logs/search?regex=true&q="
    deep = b"[" * 100_000 + b"]" * 100_000
    huge = b"[" + b",".join([b'{"message":"x"}'] * 60_000) + b"]"
    bomb = gzip.compress(bytes(64 * MEBIBYTE))
    return {
        "inodes": raw(reporter, logs, guess(run)),
        "regex": raw(shared, search + "(.*a.*b)%7B50%7D(x%2Bx%2B)%2By"),
        "back-references": raw(shared, search + "%5E(.%2B)(.%2B)%5C1%5C2%24"),
        "deep JSON": raw(reporter, logs, deep),
        "huge JSON": raw(reporter, logs, huge),
        "compressed": raw(reporter, logs, bomb, "Content-Encoding: gzip\r\n"),
        "headers": raw(None, "GET /projects", headers="X-A: b\r\n" * 2_000),
        "cookies": raw(None, "GET /projects", headers=f"Cookie: {'a=b; ' * 2_000}\r\n"),
        "passwords": raw(None, "POST /auth/login", b'{"email":"a@b.cd","password":"x"}'),
    }


def flooding(one: Server, request: bytes) -> AbstractContextManager[object]:
    """Clients that send this request without end."""
    return clients(one, request, ATTACKING_CLIENTS, reconnects=True)


def show_costs(one: Server, requests: dict[str, bytes], seconds: float) -> None:
    """Prints what each request costs the server's process, beside an ordinary one."""
    command = [compiled(POSTER), "127.0.0.1", str(one.port), str(ATTACKING_CLIENTS), "0"]

    def cost(request: bytes) -> tuple[float, float]:
        before = one.cpu_seconds()
        done = subprocess.run(
            [*command, str(seconds), "again"],
            input=request,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        number: int = json.loads(done.stdout)["requests"]
        return (one.cpu_seconds() - before) / max(1, number) * 1e6, number / seconds

    ordinary, _ = cost(raw(one, "GET /projects"))
    for name, request in requests.items():
        spent, rate = cost(request)
        print(
            f"{name:16} {spent:9,.0f} us of CPU, {spent / ordinary:7.2f} x an ordinary request, "
            f"{rate:8,.1f} a second",
            flush=True,
        )


def guess(run: UUID) -> bytes:
    """A line that is said to be cut, in a file that its sender guesses."""
    place = {"cut": {"offset": 0, "length": 60}}
    message = {"type": "lines", "run_id": str(run), "source": "guessed", "first_line": 1}
    message |= {"first_offset": 0, "lines": [LINE], "flags": {"0": place}}
    return json.dumps(message | {"file": {"device": 1, "inode": 2}}).encode()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--only", default="", help="some attacks, comma-separated")
    parser.add_argument("--costs", action="store_true", help="processor time of each request")
    options = parser.parse_args()
    print(machine())
    with server() as one:
        project_id, run_id = new_run(one, "quiet")
        quiet = Quiet(one, project_id, run_id)
        with one.http() as made:
            made.post(f"/runs/{run_id}/logs", json=[{"message": LINE}] * 100).raise_for_status()
        kinds = attacks(one)
        names = options.only.split(",") if options.only else [*kinds, SLOW]
        if options.costs:
            return show_costs(
                one, {name: kinds[name] for name in names if name != SLOW}, options.seconds
            )
        quiet.measure(2.0)
        for name in names:
            alone, held = quiet.measure(options.seconds), one.resident_bytes()
            with (
                floods.running("slow-bodies", one.port)
                if name == SLOW
                else flooding(one, kinds[name])
            ):
                time.sleep(1.0)
                found = quiet.measure(options.seconds)
                grown = (one.resident_bytes() - held) / MEBIBYTE
            for line in shown(name, found, alone):
                print(line, flush=True)
            print(f"{'':17}memory {grown:+.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
