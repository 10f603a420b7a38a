"""What attributes mean, under the names that programs give them.

OpenTelemetry's conventions for generative AI are unstable: names change, and OpenInference, Traceloop and
Logfire have their own. So this is a table of names, and not a schema; what isn't known is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Json = Mapping[str, Any]
Kind = Literal["agent", "model", "tool", "other"]

RUN = "runcast.run"
PROJECT = "runcast.project"
SERVICE = "service.name"
INSTANCE = "service.instance.id"
NO_SERVICE = "unknown"

_OPERATIONS: Mapping[str, Kind] = {
    "invoke_agent": "agent",
    "invoke_workflow": "agent",
    "create_agent": "agent",
    "chat": "model",
    "text_completion": "model",
    "generate_content": "model",
    "embeddings": "model",
    "execute_tool": "tool",
}
_OTHER_KINDS: Mapping[str, Kind] = {
    "agent": "agent",
    "workflow": "agent",
    "llm": "model",
    "embedding": "model",
    "tool": "tool",
}
_KIND_NAMES = ("openinference.span.kind", "traceloop.span.kind")

CONVERSATION = (
    "gen_ai.conversation.id",
    "session.id",
    "traceloop.association.properties.session_id",
)
AGENT = ("gen_ai.agent.name", "agent_name", "agent.name")
MODEL = (
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.model_name",
    "embedding.model_name",
)
TOOL = ("gen_ai.tool.name", "tool.name", "tool_name", "traceloop.entity.name")
CALL_ID = ("gen_ai.tool.call.id", "tool_call.id", "tool.id")
ARGUMENTS = (
    "gen_ai.tool.call.arguments",
    "tool_arguments",
    "traceloop.entity.input",
    "tool.parameters",
    "input.value",
)
RESULT = ("gen_ai.tool.call.result", "tool_response", "traceloop.entity.output", "output.value")
OUTPUT = ("gen_ai.output.messages", "gen_ai.completion", "output.value")
ERROR = ("error.type", "exception.type")

INPUT_TOKENS = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "llm.usage.prompt_tokens",
)
OUTPUT_TOKENS = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "llm.usage.completion_tokens",
)
CACHE_READ = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.details.cache_read_tokens",
    "llm.token_count.prompt_details.cache_read",
)
CACHE_WRITE = (
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.details.cache_write_tokens",
    "llm.token_count.prompt_details.cache_write",
)
REASONING = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "llm.token_count.completion_details.reasoning",
)
MOST = 2**53 - 1


def kind_of(attributes: Json) -> Kind:
    """What a span stands for."""
    operation = attributes.get("gen_ai.operation.name")
    if isinstance(operation, str) and operation in _OPERATIONS:
        return _OPERATIONS[operation]
    for name in _KIND_NAMES:
        if isinstance(found := attributes.get(name), str):
            return _OTHER_KINDS.get(found.lower(), "other")
    return "other"


def text(attributes: Json, names: tuple[str, ...]) -> str:
    """The first of these attributes that is a text with something in it; empty where none is."""
    for name in names:
        found = attributes.get(name)
        if isinstance(found, str) and found.strip():
            return found.replace("\x00", "␀")
    return ""


def value(attributes: Json, names: tuple[str, ...]) -> Any:
    """The first of these attributes that is there."""
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)


def count(attributes: Json, names: tuple[str, ...]) -> int:
    """The first of these attributes that is a number, as a count; 0 where none is."""
    for name in names:
        found = attributes.get(name)
        if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) < 17:
            found = int(found)
        if isinstance(found, bool) or not isinstance(found, int | float):
            continue
        if 0 <= found <= MOST:  # false for what isn't a number (NaN)
            return int(found)
    return 0


def uncached(given: int, read: int, written: int) -> int:
    """Input tokens without those of the cache. Most programs count them in; where they can't be in it, the
    number is taken as it is."""
    return given - read - written if given >= read + written else given
