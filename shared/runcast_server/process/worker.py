"""A worker process of `--workers N`; `workers` says how it and its supervisor talk.

What it counts lies in files named after the worker, not after its process, so that a successor goes on from
there. prometheus-client decides that when the first metric is made: the rest is imported after it.
"""

import asyncio
import pkgutil
import socket
import sys

from prometheus_client import values


def main() -> int:
    """`worker NAME DESCRIPTOR SERVICE…`: serve on the socket that was handed over; the exit code."""
    name, descriptor, *services = sys.argv[1:]
    values.ValueClass = values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]
    run = pkgutil.resolve_name("runcast_server.process.worker_life:work")
    try:
        run(name, services, socket.socket(fileno=int(descriptor)))
    except (asyncio.CancelledError, KeyboardInterrupt):
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
