"""Reports a run and reads it back, by the client that openapi-python-client generated."""

import sys

from runcast_client import AuthenticatedClient
from runcast_client.api.logs import read_logs
from runcast_client.api.projects import create_project
from runcast_client.api.runs import change_run, create_run, list_runs_of_project
from runcast_client.api.streams import list_connections
from runcast_client.models import (
    ConnectionPage,
    LogPage,
    Problem,
    ProjectNew,
    Run,
    RunNew,
    RunPage,
    RunPatch,
    RunState,
)

url, token = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=token)

create_project.sync(client=client, body=ProjectNew(name="Generated", slug="generated-python"))
made = create_run.sync(
    "generated-python", client=client, body=RunNew(key="a", status=RunState.RUNNING)
)
assert isinstance(made, Run), made
assert made.created_at.tzinfo is not None
changed = change_run.sync(
    str(made.id), client=client, body=RunPatch(status=RunState.COMPLETED, result={"ok": True})
)
assert isinstance(changed, Run), changed
assert changed.status is RunState.COMPLETED
refused = change_run.sync(str(made.id), client=client, body=RunPatch(status=RunState.FAILED))
assert isinstance(refused, Problem), refused
assert refused.type_ == "urn:runcast:problem:conflict"
page = list_runs_of_project.sync("generated-python", client=client)
assert isinstance(page, RunPage), page
assert [run.key for run in page.runs] == ["a"]
logs = read_logs.sync(str(made.id), client=client)
assert isinstance(logs, LogPage), logs
connections = list_connections.sync(client=client)
assert isinstance(connections, ConnectionPage), connections
sys.stdout.write("openapi-python-client: works\n")
