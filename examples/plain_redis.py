"""Reports a run by nothing but `XADD`: what a worker in any language with a Redis client can do.

The server reads the stream `runcast:ingest`; each entry has one field `m`, a message in JSON: docs/ingest.md.
RUNCAST_REDIS_URL is the `redis_url` of `.runcast/credentials.json`, or your Redis.
"""

import json
import os

import redis

PROJECT = "examples-redis"
stream = redis.Redis.from_url(os.environ["RUNCAST_REDIS_URL"])


def send(kind: str, number: int, **data: object) -> None:
    """One message. With an `id` it may be sent again: it counts once."""
    message = {
        "type": kind,
        "project": PROJECT,
        "key": "report",
        "id": f"report-{number}",
        "data": data,
    }
    stream.xadd("runcast:ingest", {"m": json.dumps(message)})


send("agent:started", 1, name="Report", steps=["fetch", "count"])
send("agent:log", 2, message="fetching 3 pages")
send("run:progress", 3, stage="fetch", message="page 3 of 3", percent=100)
send("run:updated", 4, current_step="count")
send("agent:log", 5, message="counting words", level="debug")
send("agent:completed", 6, result={"words": 1204})
print("sent: 6 messages")
