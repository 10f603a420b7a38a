"""Telemetry over OTLP/HTTP: the same in every form, once, and each bad record alone."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import gzip
import itertools
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from google.protobuf import json_format
from hypothesis import given, settings, strategies
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import StatusCode

from runcast_api.board.access import Workplaces
from runcast_api.logs import entries
from runcast_api.otlp import json_form
from runcast_api.otlp import logs as otlp_logs
from runcast_api.otlp import spans as otlp_spans
from runcast_api.otlp.silence import Silence
from runcast_api.otlp.wire import Unreadable
from runcast_api.routes import otlp as otlp_route
from runcast_server.auth.principal import Principal
from tests.commands import node
from tests.integration.rest import Rest, listening, serving

pytestmark = pytest.mark.anyio

DATA = Path(__file__).parents[1] / "data" / "agents" / "otlp"
LOGS = orjson.loads((DATA / "logs-claude.json").read_bytes())
TRACES = orjson.loads((DATA / "traces-genai.json").read_bytes())
REQUESTS = {"logs": ExportLogsServiceRequest, "traces": ExportTraceServiceRequest}
FORMS = tuple(itertools.product(("json", "x-protobuf"), (False, True)))
SESSION = "claude-6f0c2b1e-5a34-4d0e-9a77-0b6c1d2e3f40"
TRACE = "5b8efff798038103d269b633813fc60c"
MEBIBYTE = 1024 * 1024
CLIENT = Path(__file__).parents[1] / "clients" / "telemetry.mjs"


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


def as_protobuf(signal: str, body: dict[str, Any]) -> bytes:
    """The fixture as bytes of protocol buffers: there ids are bytes, and not hex."""
    given = copy.deepcopy(body)

    def convert(value: Any) -> None:
        if isinstance(value, dict):
            for name in ("traceId", "spanId", "parentSpanId"):
                if name in value:
                    value[name] = base64.b64encode(bytes.fromhex(value[name])).decode()
        for each in value.values() if isinstance(value, dict) else value:
            if isinstance(each, dict | list):
                convert(each)

    convert(given)
    message = json_format.ParseDict(given, REQUESTS[signal]())
    found: bytes = message.SerializeToString()
    return found


async def send(
    rest: Rest,
    signal: str,
    body: dict[str, Any] | bytes,
    *,
    form: str = "json",
    zipped: bool = False,
    prefix: str = "",
    project: str | None = "demo",
    **headers: str,
) -> httpx.Response:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    if form == "x-protobuf" and isinstance(body, dict):
        content = as_protobuf(signal, body)
    if zipped:
        content = gzip.compress(content)
        headers["Content-Encoding"] = "gzip"
    return await rest.admin.post(
        f"{prefix}/v1/{signal}",
        params={"project": project} if project else {},
        content=content,
        headers={"Content-Type": f"application/{form}"} | headers,
    )


async def runs_of(rest: Rest, project: str = "demo") -> dict[str, dict[str, Any]]:
    shown = await rest.admin.get(f"/projects/{project}/runs", params={"limit": 100})
    return {run["key"]: run for run in shown.json()["runs"]}


async def lines_of(rest: Rest, run: str) -> list[dict[str, Any]]:
    shown = await rest.admin.get(f"/runs/{run}/logs")
    entries: list[dict[str, Any]] = shown.json()["logs"]
    return [
        {name: value for name, value in entry.items() if name not in ("id", "run_id")}
        for entry in entries
    ]


async def everything(rest: Rest, project: str) -> dict[str, Any]:
    """What the fixtures came to, without what differs from project to project."""
    found = {}
    for key, run in (await runs_of(rest, project)).items():
        kept = ("name", "status", "usage", "agent_name", "agent_type", "metadata", "error")
        lines = await lines_of(rest, run["id"])
        found[key] = {name: run[name] for name in kept} | {"log": lines}
    return found


async def test_fixtures_come_to_the_same_in_every_form_and_once(rest: Rest) -> None:
    shown = []
    for number, (form, zipped) in enumerate(FORMS):
        project = f"form-{number}"
        await rest.project(project)
        for _ in range(2):
            for signal, body in (("logs", LOGS), ("traces", TRACES)):
                said = await send(
                    rest, signal, body, form=form, zipped=zipped, project=project, prefix="/otlp"
                )
                assert said.status_code == 200, said.text
                assert said.headers["content-type"] == f"application/{form}"
                assert said.content == (b"{}" if form == "json" else b"")
        shown.append(await everything(rest, project))
    assert all(one == shown[0] for one in shown)
    found = shown[0]
    assert set(found) == {SESSION, "otel-claude-code-2026-11-26", "support-bot-conv-7"}
    session = found[SESSION]
    assert (session["usage"]["input_tokens"], session["usage"]["cache_read_tokens"]) == (4, 18_000)
    assert session["usage"]["cost_usd"] == pytest.approx(0.0123)
    assert session["usage"]["requests"] == 1
    [result] = session["log"]
    assert (result["event_type"], result["level"]) == ("tool_result", "error")
    assert result["payload"]["tool"] == "Bash"
    assert result["payload"]["ms"] == 4300
    assert result["ts"] == "2026-11-26T08:00:09.000Z"
    [service] = found["otel-claude-code-2026-11-26"]["log"]
    assert service["message"] == "nobody knows whose"
    trace = found["support-bot-conv-7"]
    assert (trace["name"], trace["agent_name"], trace["status"]) == (
        "invoke_agent triage", "triage", "completed",
    )  # fmt: skip
    assert trace["usage"]["by_model"]["gpt-5.6"]["input_tokens"] == 9000
    assert [(line["event_type"], line["level"]) for line in trace["log"]] == [
        ("tool", "info"), ("tool_result", "error"),
    ]  # fmt: skip
    assert trace["log"][1]["payload"] == {
        "tool": "search", "call_id": "call_1", "ok": False, "ms": 1000, "error": "timeout",
    }  # fmt: skip


def record(said: str = "m", **members: Any) -> dict[str, Any]:
    return {"timeUnixNano": "1795680000000000000", "body": {"stringValue": said}} | members


def logs(*records: Any, **resource: str) -> dict[str, Any]:
    about = {"service.name": "job"} | resource
    attributes = [{"key": name, "value": {"stringValue": said}} for name, said in about.items()]
    scope = {"logRecords": list(records)}
    return {"resourceLogs": [{"resource": {"attributes": attributes}, "scopeLogs": [scope]}]}


async def test_a_bad_record_costs_itself_alone(rest: Rest) -> None:
    bad = [
        record(timeUnixNano="NaN"),
        record(timeUnixNano=-1),
        record(traceId="5b8e"),
        record(traceId=5),
        record(attributes=[{"value": {"stringValue": "x"}}]),
        record(body={"intValue": str(2**70)}),
        record(severityNumber="high"),
        "text",
    ]
    odd = [record("odd", severityNumber=77, unknownMember=1, flags=-5), record(body={"odd": 1})]
    said = await send(rest, "logs", logs(*bad, record("good"), *odd))
    assert said.status_code == 200
    partial = said.json()["partialSuccess"]
    assert partial["rejectedLogRecords"] == str(len(bad)), "64-bit numbers are texts"
    assert "timeUnixNano" in partial["errorMessage"]
    [run] = (await runs_of(rest)).values()
    assert [line["message"] for line in await lines_of(rest, run["id"])] == [
        "good",
        "odd",
        "(empty)",
    ]
    given = as_protobuf("logs", logs(record("two")))
    request = ExportLogsServiceRequest.FromString(given)
    request.resource_logs[0].scope_logs[0].log_records[0].trace_id = b"short"
    said = await send(rest, "logs", request.SerializeToString(), form="x-protobuf")
    answer = ExportLogsServiceResponse.FromString(said.content)
    assert answer.partial_success.rejected_log_records == 1
    assert "trace_id" in answer.partial_success.error_message


@pytest.mark.parametrize("form", ["json", "x-protobuf"])
async def test_what_is_no_export_request_is_refused_in_its_form(rest: Rest, form: str) -> None:
    for signal in ("logs", "traces", "metrics"):
        said = await send(rest, signal, b"\xff\xff not a request", form=form)
        assert said.status_code == 400, said.text
        assert said.headers["content-type"] == f"application/{form}"
        if form == "json":
            assert said.json()["code"] == 3
        else:
            assert said.content[:2] == b"\x08\x03"
    unknown = await send(rest, "logs", b"", form="xml")
    assert unknown.status_code == 415
    coded = await send(rest, "logs", b"", form=form, **{"Content-Encoding": "br"})
    assert coded.status_code == 415
    assert coded.headers["accept-encoding"] == "gzip, identity"
    stranger = await send(rest, "logs", b"", form=form, Authorization="Bearer rc_wrong")
    assert stranger.status_code == 401
    assert (await send(rest, "logs", LOGS, form=form, project=None)).status_code == 400


async def test_large_bodies_are_refused_before_they_are_whole(rest: Rest) -> None:
    whole = 20 * MEBIBYTE + 1
    assert (await send(rest, "logs", b"[" * whole)).status_code == 413
    bomb = gzip.compress(bytes(512 * MEBIBYTE), 1)
    tracemalloc.start()
    try:
        said = await send(rest, "logs", bomb, **{"Content-Encoding": "gzip"})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert said.status_code == 413
    assert peak < 64 * MEBIBYTE


async def test_a_project_may_be_named_by_the_resource(rest: Rest) -> None:
    await rest.project("other")
    key = await rest.admin.post("/projects/other/keys", json={"name": "k", "role": "reporter"})
    mine = {"Authorization": f"Bearer {key.json()['token']}"}
    both = logs(record("mine"))
    both["resourceLogs"] += logs(record("not mine"), **{"runcast.project": "demo"})["resourceLogs"]
    said = await send(rest, "logs", both, project=None, **mine)
    assert said.json()["partialSuccess"]["rejectedLogRecords"] == "1"
    assert await runs_of(rest) == {}
    [run] = (await runs_of(rest, "other")).values()
    assert [line["message"] for line in await lines_of(rest, run["id"])] == ["mine"]
    viewer = await rest.admin.post("/projects/other/keys", json={"name": "v", "role": "viewer"})
    mine = {"Authorization": f"Bearer {viewer.json()['token']}"}
    assert (await send(rest, "logs", both, project=None, **mine)).status_code == 403


async def test_one_request_looks_up_only_some_projects(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name again and again is looked up once, and beyond a number of names nothing is."""
    asked: list[str] = []
    project = Workplaces.project

    async def noted(self: Workplaces, caller: Principal, reference: str) -> UUID:
        asked.append(reference)
        return await project(self, caller, reference)

    monkeypatch.setattr(Workplaces, "project", noted)
    many: dict[str, Any] = {"resourceLogs": []}
    for number in range(300):
        named = {"runcast.project": "demo" if number % 3 == 0 else f"absent-{number}"}
        many["resourceLogs"] += logs(record("x"), **named)["resourceLogs"]
    said = await send(rest, "logs", many, project=None)
    assert said.json()["partialSuccess"]["rejectedLogRecords"] == "200"
    assert len(asked) == len(set(asked)) == otlp_route.NAMED_PROJECTS
    [run] = (await runs_of(rest)).values()
    assert run["key"].startswith("otel-")


async def test_a_record_goes_to_the_run_that_it_names(rest: Rest) -> None:
    run = await rest.run(key="mine", status="running")
    for name in ("mine", run):
        at = {"attributes": [{"key": "runcast.run", "value": {"stringValue": name}}]}
        said = await send(rest, "logs", logs(record(name, severityNumber=17, **at)))
        assert said.content == b"{}"
    lines = await lines_of(rest, run)
    assert [(line["message"], line["level"]) for line in lines] == [
        ("mine", "error"),
        (run, "error"),
    ]
    await send(rest, "logs", logs(record("made"), **{"runcast.run": "made-by-name"}))
    assert "made-by-name" in await runs_of(rest)
    gone = "00000000-0000-4000-8000-000000000000"
    said = await send(rest, "logs", logs(record("lost"), **{"runcast.run": gone}))
    assert "no run" in said.json()["partialSuccess"]["errorMessage"]


def span(
    span_id: int, parent: int | None = None, name: str = "work", **more: Any
) -> dict[str, Any]:
    attributes = [
        {"key": key.replace("__", "."), "value": {"stringValue": said}}
        for key, said in more.pop("about", {}).items()
    ]
    found = {
        "traceId": TRACE, "spanId": f"{span_id:016x}", "name": name, "attributes": attributes,
        "startTimeUnixNano": str(1_795_680_000_000_000_000 + span_id),
        "endTimeUnixNano": "1795680010000000000",
    }  # fmt: skip
    return found | ({} if parent is None else {"parentSpanId": f"{parent:016x}"}) | more


def spans(*given: dict[str, Any], service: str = "bot") -> dict[str, Any]:
    about = [{"key": "service.name", "value": {"stringValue": service}}]
    return {
        "resourceSpans": [
            {"resource": {"attributes": about}, "scopeSpans": [{"spans": list(given)}]}
        ]
    }


AGENT = {"gen_ai__operation__name": "invoke_agent"}
TOOL = {"gen_ai__operation__name": "execute_tool", "gen_ai__tool__name": "grep"}


async def test_children_may_come_before_their_parents(rest: Rest) -> None:
    """A run is made by a tool's span, and named and ended by the root that comes later."""
    await send(rest, "traces", spans(span(3, 2, about=TOOL)))
    [run] = (await runs_of(rest)).values()
    assert (run["status"], run["name"]) == ("running", None)
    nested = span(2, 1, "invoke_agent helper", about=AGENT | {"gen_ai__agent__name": "helper"},
                  status={"code": 2, "message": "gave up"})  # fmt: skip
    await send(rest, "traces", spans(nested, span(4, 2, about=TOOL)))
    failed = {"code": 2, "message": "the helper gave up"}
    about = AGENT | {"gen_ai__conversation__id": "c1"}
    for _ in range(2):
        await send(
            rest, "traces", spans(span(1, name="invoke_agent boss", about=about, status=failed))
        )
    found = await runs_of(rest)
    run = found[f"bot-{TRACE}"]
    assert (run["status"], run["name"], run["error"]) == (
        "failed", "invoke_agent boss", "the helper gave up",
    )  # fmt: skip
    assert run["aliases"] == ["bot-c1"]
    child = found[f"bot-{TRACE}.{2:016x}"]
    assert (child["parent_run_id"], child["status"], child["error"]) == (
        run["id"],
        "failed",
        "gave up",
    )
    assert child["agent_name"] == "helper"
    assert [line["payload"]["tool"] for line in await lines_of(rest, child["id"])] == [
        "grep",
        "grep",
    ]
    assert len(found) == 2, "sent again, nothing is made again"


async def test_agents_that_end_long_before_their_root_are_its_children(rest: Rest) -> None:
    """Exporters send what has ended every few seconds: a trace goes on while its first agents are over."""
    for number, name in ((2, "first"), (3, "second")):
        await send(rest, "traces", spans(span(number, 1, name, about=AGENT)))
        run = (await runs_of(rest))[f"bot-{TRACE}"]
        assert (run["status"], run["name"]) == ("running", "first"), "borrowed from its first agent"
    failed = {"code": 2, "message": "gave up"}
    await send(rest, "traces", spans(span(1, name="boss", about=AGENT, status=failed)))
    found = await runs_of(rest)
    run = found[f"bot-{TRACE}"]
    assert (run["status"], run["name"], run["error"]) == ("failed", "boss", "gave up")
    for number, name in ((2, "first"), (3, "second")):
        child = found[f"bot-{TRACE}.{number:016x}"]
        assert (child["name"], child["status"], child["parent_run_id"]) == (
            name,
            "completed",
            run["id"],
        )


async def test_a_name_that_a_person_gave_and_odd_metadata_stay(rest: Rest) -> None:
    """Members of metadata are anyone's who reports: no shape of theirs makes telemetry fail."""
    await send(rest, "traces", spans(span(2, 1, "first", about=AGENT)))
    run = (await runs_of(rest))[f"bot-{TRACE}"]["id"]
    for change in ({"name": "Ana's"}, {"metadata": {"otel": "odd", "agent": ["odd"]}}):
        assert (await rest.admin.patch(f"/runs/{run}", json=change)).status_code == 200
    said = await send(rest, "traces", spans(span(1, name="boss", about=AGENT)))
    assert (said.status_code, said.content) == (200, b"{}")
    run = (await runs_of(rest))[f"bot-{TRACE}"]
    assert (run["name"], run["status"]) == ("Ana's", "completed")
    await rest.run(key="claude-s", status="running", metadata={"agent": "claude"})
    about = [{"key": "session.id", "value": {"stringValue": "s"}}]
    one = record(eventName="claude_code.api_error", attributes=about)
    said = await send(rest, "logs", logs(one, **{"service.name": "claude-code"}))
    assert (said.status_code, said.content) == (200, b"{}")


async def test_records_of_two_days_are_told_apart(rest: Rest) -> None:
    """A batch that is sent after midnight holds records of the evening."""
    evening, morning = 1_795_737_599_000_000_000, 1_795_737_601_000_000_000
    records = [record(str(at), timeUnixNano=str(at)) for at in (morning, evening)]
    await send(rest, "logs", logs(*records, **{"service.name": "bot"}))
    found = await runs_of(rest)
    assert set(found) == {"otel-bot-2026-11-26", "otel-bot-2026-11-27"}


async def test_a_trace_whose_root_never_comes_ends_by_silence(rest: Rest) -> None:
    await send(rest, "traces", spans(span(3, 2, about=TOOL)))
    silence = Silence(rest.resources.database.log, rest.resources.eventlog)
    await silence.end()
    [run] = (await runs_of(rest)).values()
    assert run["status"] == "running"
    async with rest.resources.database.log.acquire() as connection:
        await connection.execute("UPDATE otlp_runs SET closes_at = now()")
        await connection.execute("UPDATE runs SET heard_at = now() - interval '1 hour'")
    await silence.end()
    [run] = (await runs_of(rest)).values()
    assert run["status"] == "completed"


async def test_a_decision_closes_the_question_that_was_open_then(rest: Rest) -> None:
    for said in ("SessionStart", "PermissionRequest"):
        hook = {
            "session_id": "s",
            "hook_event_name": said,
            "tool_name": "Bash",
            "tool_input": {"command": "ls"},
        }
        asked = await rest.admin.post("/agents/claude/hooks?project=demo&hold=1", json=hook)
        assert asked.status_code == 200, asked.text
    for at, state in (
        ("1000000000000000000", "open"),
        ("4000000000000000000", "resolved_elsewhere"),
    ):
        about = {
            "session.id": "s",
            "event.name": "tool_decision",
            "tool_name": "Bash",
            "source": "user_temporary",
        }
        attributes = [{"key": key, "value": {"stringValue": said}} for key, said in about.items()]
        one = record(timeUnixNano=at, attributes=attributes)
        await send(rest, "logs", logs(one, **{"service.name": "claude-code"}))
        shown = await rest.admin.get(f"/questions/{asked.json()['question_id']}")
        assert shown.json()["state"] == state


def run_a_framework(url: str, token: str) -> None:
    """What a framework with OpenTelemetry does, with the official SDK and exporters."""
    headers = {"Authorization": f"Bearer {token}"}
    about = Resource({"service.name": "graph"})
    tracing, logging = TracerProvider(resource=about), LoggerProvider(resource=about)
    exporter = OTLPSpanExporter(f"{url}/v1/traces", headers=headers)
    tracing.add_span_processor(BatchSpanProcessor(exporter))
    records = OTLPLogExporter(f"{url}/v1/logs", headers=headers)
    logging.add_log_record_processor(BatchLogRecordProcessor(records))
    tracer = tracing.get_tracer("graph")
    with tracer.start_as_current_span(
        "graph", attributes={"gen_ai.operation.name": "invoke_agent"}
    ):
        with tracer.start_as_current_span("plan") as plan:
            plan.set_attribute("openinference.span.kind", "LLM")
            plan.set_attribute("llm.model_name", "claude-sonnet-4-5")
            plan.set_attribute("llm.token_count.prompt", 1000)
            plan.set_attribute("llm.token_count.completion", 50)
        with tracer.start_as_current_span("look") as look:
            look.set_attribute("traceloop.span.kind", "tool")
            look.record_exception(ValueError("not there"))
            look.set_status(StatusCode.ERROR, "not there")
    tracing.shutdown()
    logger = logging.get_logger("graph")
    logger.emit(LogRecord(body="done", severity_number=SeverityNumber.WARN, event_name="end"))
    logging.shutdown()


async def test_the_official_sdk_reports_a_run(rest: Rest) -> None:
    made = await rest.admin.post("/projects/demo/keys", json={"name": "k", "role": "reporter"})
    async with listening(rest) as url:
        await asyncio.to_thread(run_a_framework, url, made.json()["token"])
    found = await runs_of(rest)
    [run] = [run for run in found.values() if run["agent_type"] == "AGENT"]
    assert (run["name"], run["status"]) == ("graph", "completed")
    assert run["usage"]["by_model"]["claude-sonnet-4-5"]["input_tokens"] == 1000
    assert run["usage"]["cost_usd"] == pytest.approx(1000 * 3e-6 + 50 * 15e-6)
    lines = await lines_of(rest, run["id"])
    assert [line["event_type"] for line in lines] == ["tool", "error", "tool_result"]
    assert lines[1]["message"] == "ValueError: not there"
    [service] = [run for run in found.values() if run["agent_type"] == "SERVICE"]
    [line] = await lines_of(rest, service["id"])
    assert (line["message"], line["level"], line["event_type"]) == ("done", "warning", "end")


async def test_the_javascript_sdk_reports_the_same(rest: Rest) -> None:
    """Of another language: traces as JSON, records as protobuf, both compressed."""
    made = await rest.admin.post("/projects/demo/keys", json={"name": "k", "role": "reporter"})
    async with listening(rest) as url:
        process = await asyncio.create_subprocess_exec(
            node(), CLIENT, url, made.json()["token"], stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
    assert (process.returncode, said) == (0, b"")
    found = await runs_of(rest)
    [run] = [run for run in found.values() if run["agent_type"] == "AGENT"]
    assert (run["name"], run["status"]) == ("graph-js", "completed")
    assert run["usage"]["by_model"]["claude-sonnet-4-5"]["input_tokens"] == 1000
    lines = await lines_of(rest, run["id"])
    assert [line["event_type"] for line in lines] == ["tool", "error", "tool_result"]
    assert lines[1]["message"] == "Error: not there"
    [service] = [run for run in found.values() if run["agent_type"] == "SERVICE"]
    [line] = await lines_of(rest, service["id"])
    assert (line["message"], line["level"], line["event_type"]) == ("done", "warning", "end")


MEMBERS = (
    "resourceLogs", "resource", "attributes", "key", "value", "stringValue", "intValue",
    "doubleValue", "boolValue", "bytesValue", "arrayValue", "kvlistValue", "values", "scopeLogs",
    "scope", "name", "logRecords", "body", "traceId", "timeUnixNano", "severityNumber", "eventName",
    "resourceSpans", "scopeSpans", "spans", "spanId", "parentSpanId", "status", "code", "message",
    "events", "endTimeUnixNano",
)  # fmt: skip
LEAVES = strategies.one_of(
    strategies.none(), strategies.booleans(), strategies.integers(-(2**70), 2**70),
    strategies.floats(allow_nan=False), strategies.text(max_size=8),
    strategies.sampled_from(["5b8efff798038103d269b633813fc60c", "aaaaaaaaaaaaaaa1", "gen_ai.operation.name",
                             "invoke_agent", "session.id", "claude-code", "tool_result"]),
)  # fmt: skip
ODD = strategies.recursive(
    LEAVES,
    lambda inner: strategies.one_of(
        strategies.lists(inner, max_size=3),
        strategies.dictionaries(strategies.sampled_from(MEMBERS), inner, max_size=5),
    ),
    max_leaves=20,
)


@given(odd=ODD, place=strategies.integers(0, 5))
@settings(max_examples=150, deadline=None, database=None)
def test_no_json_makes_reading_fail_otherwise_than_by_a_refusal(odd: Any, place: int) -> None:
    """Whatever stands where: it is read, refused as a whole, or refused item by item."""
    body: Any = odd
    about = {"attributes": [{"key": "service.name", "value": {"stringValue": "claude-code"}}]}
    if place < 4:
        one = odd if place < 2 else [odd]
        body = {
            "resourceLogs": [{"resource": about, "scopeLogs": [{"logRecords": one}]}],
            "resourceSpans": [{"scopeSpans": [{"spans": one}]}],
        }
    try:
        sent = orjson.dumps(body)
    except TypeError:
        return  # an integer that no JSON of ours holds
    with contextlib.suppress(Unreadable):
        for bundle in json_form.logs(sent):
            for said in otlp_logs.said(bundle):
                assert said.entry is None or entries.encode(said.entry, "now", 65_536)
    with contextlib.suppress(Unreadable):
        otlp_spans.traces(json_form.spans(sent).bundles, "all")


def test_odd_trees_of_spans_cost_no_more_than_others() -> None:
    """A chain of agents, a circle, spans that stand twice: each is read once."""
    count = 20_000
    chain = [span(number + 1, number or None, about=AGENT) for number in range(count)]
    [trace] = otlp_spans.traces(json_form.spans(orjson.dumps(spans(*chain))), "all")
    assert len(trace.agents) == otlp_spans.MAX_AGENTS
    assert {agent.parent for agent in trace.agents[1:]} < {agent.span_id for agent in trace.agents}
    circle = [span(1, 2, about=TOOL), span(2, 1, about=TOOL), span(2, 2, about=TOOL)]
    [trace] = otlp_spans.traces(json_form.spans(orjson.dumps(spans(*circle))), "all")
    assert (len(trace.told), trace.agents) == (2, [])
