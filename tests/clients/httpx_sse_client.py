"""Follows a stream with httpx-sse, and goes on where it was: URL TOKEN."""

import contextlib
import json
import sys
import time

import httpx
from httpx_sse import connect_sse

url, token = sys.argv[1:]
headers = {"Authorization": f"Bearer {token}"}
while True:
    with (
        contextlib.suppress(httpx.HTTPError),
        httpx.Client(timeout=30) as client,
        connect_sse(client, "GET", url, headers=headers) as source,
    ):
        for event in source.iter_sse():
            if event.id:
                headers["Last-Event-ID"] = event.id
            if event.event == "agent:log":
                sys.stdout.write(f"{event.id} {json.loads(event.data)['line']}\n")
                sys.stdout.flush()
    time.sleep(0.1)
