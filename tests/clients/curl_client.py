"""Follows a stream with curl, and goes on where it was: URL TOKEN [OPTION…]."""

import json
import subprocess
import sys
import time

url, token, *options = sys.argv[1:]
last = ""
while True:
    position = ["-H", f"Last-Event-ID: {last}"] if last else []
    bearer = f"Authorization: Bearer {token}"
    command = ["curl", "-sN", *options, "-H", bearer, *position, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdout is not None
        event = number = data = ""
        for line in curl.stdout:
            name, _, value = line.rstrip("\n").partition(": ")
            match name:
                case "id":
                    number = value
                case "event":
                    event = value
                case "data":
                    data = value
                case "":
                    last = number or last
                    if event == "agent:log":
                        sys.stdout.write(f"{last} {json.loads(data)['line']}\n")
                        sys.stdout.flush()
                    event = number = data = ""
    time.sleep(0.1)
