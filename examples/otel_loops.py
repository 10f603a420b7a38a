"""Two loops of agents that report themselves by OpenTelemetry alone, without an SDK of Runcast's.

The first has the attributes of OpenTelemetry's own conventions (OpenAI Agents, PydanticAI, Semantic Kernel),
the second those of OpenInference (LangGraph, LlamaIndex, CrewAI): instrumentation sets them for you.
"""

import os

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import StatusCode, Tracer


def agents(tracer: Tracer) -> None:
    """A triage agent hands over to another one, which uses a tool."""
    about = {"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": "ticket-17"}
    with tracer.start_as_current_span("triage", attributes=about | {"gen_ai.agent.name": "triage"}):
        with tracer.start_as_current_span("chat") as chat:
            chat.set_attribute("gen_ai.operation.name", "chat")
            chat.set_attribute("gen_ai.request.model", "claude-sonnet-4-5")
            chat.set_attribute("gen_ai.usage.input_tokens", 900)
            chat.set_attribute("gen_ai.usage.output_tokens", 40)
        helper = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "refunds"}
        with (
            tracer.start_as_current_span("refunds", attributes=helper),
            tracer.start_as_current_span("execute_tool") as tool,
        ):
            tool.set_attribute("gen_ai.operation.name", "execute_tool")
            tool.set_attribute("gen_ai.tool.name", "find_order")
            tool.set_attribute("gen_ai.tool.call.arguments", '{"query": "order 4711"}')


def graph(tracer: Tracer) -> None:
    """A graph whose last node fails."""
    with tracer.start_as_current_span("LangGraph") as root:
        root.set_attribute("openinference.span.kind", "CHAIN")
        with tracer.start_as_current_span("plan") as plan:
            plan.set_attribute("openinference.span.kind", "LLM")
            plan.set_attribute("llm.model_name", "claude-sonnet-4-5")
            plan.set_attribute("llm.token_count.prompt", 1200)
            plan.set_attribute("llm.token_count.completion", 60)
        with tracer.start_as_current_span("search") as search:
            search.set_attribute("openinference.span.kind", "TOOL")
            search.set_attribute("tool.name", "search")
            search.set_status(StatusCode.ERROR, "timed out")
        root.set_status(StatusCode.ERROR, "a node failed")


def main() -> None:
    headers = {"Authorization": f"Bearer {os.environ['RUNCAST_TOKEN']}"}
    address = f"{os.environ['RUNCAST_URL']}/v1/traces"
    # A key of a project needs no name of it; an administrator's key does.
    named = {"runcast.project": os.environ.get("RUNCAST_PROJECT", "default")}
    for loop in (agents, graph):
        provider = TracerProvider(resource=Resource({"service.name": loop.__name__} | named))
        exporter = OTLPSpanExporter(address, headers=headers)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        loop(provider.get_tracer("example"))
        provider.shutdown()
    print("sent: 2 traces")


if __name__ == "__main__":
    main()
