"""Reports a run with steps, lines and a result by the Python SDK, and reads it back.

`pip install runcast`; RUNCAST_URL and RUNCAST_TOKEN say where and who, without them it is the local server.
"""

from runcast import Client, RunTracker

PROJECT = "examples-python"

with RunTracker(project=PROJECT, steps=["fetch", "count"]) as run:
    run.step("fetch")
    run.log("fetching 3 pages")
    run.emit("fetch", "page 3 of 3", percent=100)
    run.step("count")
    run.log("counting words", level="debug")
    run.finish(result={"words": 1204})

with Client() as client:
    [found, *_] = client.list_runs(PROJECT)["runs"]
    print("status:", found["status"], found["result"])
    for line in client.iter_logs(found["id"]):
        print("line:", line["message"])
