"""A first day with the API, in Python: create, label, find, compare, page, resume, export, delete.

RUNCAST_URL and RUNCAST_TOKEN say where and who; without them it is the local server.
"""

import tempfile
from pathlib import Path

from runcast import Client

PROJECT = "first-day-python"

with Client() as client:
    client.create_project("First day", slug=PROJECT)
    one = client.create_run(PROJECT, status="running", input={"temperature": 0.2})
    two = client.create_run(PROJECT, status="running", input={"temperature": 0.9})

    client.update_run(one["id"], labels={"model": "small"})
    client.update_run("#2", project=PROJECT, labels={"model": "large"})
    client.add_log(two["id"], message="hello")
    client.add_metrics(two["id"], {"loss": 0.5}, step=1)

    found = client.list_runs(PROJECT, label="model=large")["runs"]
    print("found:", [run["number"] for run in found])
    compared = client.compare_runs([one["id"], two["id"]])["differences"]
    print("compared:", [each["member"] for each in compared])
    print("paged:", [run["number"] for run in client.iter_runs(PROJECT, limit=1)])

    client.change_runs(
        PROJECT,
        [
            {"op": "patch", "run": "1", "body": {"status": "failed"}},
            {"op": "patch", "run": "2", "body": {"status": "completed"}},
        ],
    )
    stream = client.stream_run(two["id"], after=0)
    print("events of the second run:", [event.type for event in stream])

    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "run.ndjson"
        client.export_run(file, two["id"])
        print("exported:", len(file.read_text().splitlines()) > 3)
    print("log:", client.log_text(two["id"]).strip())
    print("deleted:", client.delete_run(one["id"])["deleted"])
    client.delete_project(PROJECT)
