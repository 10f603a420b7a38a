"""Fan-out, end to end: from a POST or XADD, through commit and publish, to the sockets.

    python -m bench.fanout [--connections 500] [--idle 5000]

Sparse: 20 log lines a second by POST to all subscribers; processor time of the whole server process per
delivery. Burst: lines by XADD as fast as they go; deliveries a second until the last one arrived. Idle:
resident memory per open stream.
"""

import argparse
import json
import time

from bench.server import Load, Server, load, machine, server

SPARSE_EVENTS = 200
SPARSE_PER_SECOND = 20
BURST_LINES = 40_000
LINES_PER_MESSAGE = 1_000
LINE = "x" * 91


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--idle", type=int, default=5000)
    options = parser.parse_args()
    print(machine())
    with server() as one:
        run_id = prepare(one)
        path = "/projects/bench/events?subscribe_logs=all"
        alone = trickle(one, run_id)
        with load(one, options.connections, [path]) as clients:
            print(sparse(one, clients, run_id, options.connections, alone))
            print(burst(one, clients, run_id, options.connections))
    with server() as one:
        prepare(one)
        print(idle(one, options.idle))


def prepare(one: Server) -> str:
    """A project with a run; returns the run's id."""
    with one.http() as http:
        http.post("/projects", json={"name": "bench", "slug": "bench"}).raise_for_status()
        answer = http.post("/projects/bench/runs", json={"status": "running"})
        answer.raise_for_status()
        return str(answer.json()["id"])


def trickle(one: Server, run_id: str) -> float:
    """Posts the sparse events; returns the server's processor time meanwhile, in seconds."""
    cpu = one.cpu_seconds()
    with one.http() as http:
        begin = time.monotonic()
        for number in range(SPARSE_EVENTS):
            time.sleep(max(0.0, begin + number / SPARSE_PER_SECOND - time.monotonic()))
            http.post(f"/runs/{run_id}/logs", json={"message": LINE}).raise_for_status()
    return one.cpu_seconds() - cpu


def sparse(one: Server, clients: Load, run_id: str, connections: int, alone: float) -> str:
    """Processor time per delivery when events trickle. `alone` is what the same posts cost without any
    subscriber: taking them in, committing and publishing them."""
    frames = clients.frames
    seconds = trickle(one, run_id)
    deliveries = SPARSE_EVENTS * connections
    clients.until(frames=frames + deliveries)
    whole, hub = seconds / deliveries * 1e6, (seconds - alone) / deliveries * 1e6
    return (
        f"sparse  {hub:6.2f} us of CPU per delivery for the hub's part, {whole:.2f} us with the events' "
        f"intake ({SPARSE_EVENTS} events x {connections})"
    )


def burst(one: Server, clients: Load, run_id: str, connections: int) -> str:
    """Deliveries a second when lines come as fast as they go."""
    frames, cpu = clients.frames, one.cpu_seconds()
    with one.redis() as redis:
        begin = time.monotonic()
        for number in range(BURST_LINES // LINES_PER_MESSAGE):
            message = {
                "type": "lines",
                "run_id": run_id,
                "source": "burst",
                "generation": 1,
                "first_line": number * LINES_PER_MESSAGE + 1,
                "first_offset": number * LINES_PER_MESSAGE * (len(LINE) + 1),
                "lines": [LINE] * LINES_PER_MESSAGE,
            }
            redis.xadd("runcast:ingest", {"m": json.dumps(message)})
    deliveries = BURST_LINES * connections
    clients.until(frames=frames + deliveries)
    seconds = time.monotonic() - begin
    micros = (one.cpu_seconds() - cpu) / deliveries * 1e6
    rate = deliveries / seconds
    return (
        f"burst   {rate:12,.0f} deliveries/s, {micros:.2f} us of server CPU each ({seconds:.1f} s)"
    )


def idle(one: Server, connections: int) -> str:
    """Resident memory per idle stream."""
    with load(one, 10, ["/projects/bench/events"]):
        before = one.resident_bytes()
    with load(one, connections, ["/projects/bench/events"]):
        kib = (one.resident_bytes() - before) / connections / 1024
    return f"idle    {kib:6.2f} KiB of resident memory per connection ({connections} connections)"


if __name__ == "__main__":
    main()
