"""Parts of a run, one inside the other: a search, a call of a model, a tool.

A span is two entries of the run's log, joined by `call_id`. A tool's are of the kinds `tool` and
`tool_result`, which agents' sessions have too, so that it is shown as one row with its duration.
"""

import contextvars
import time
from types import TracebackType
from typing import Any, Protocol, Self

from runcast._support.ids import uuid7


class Logs(Protocol):
    """What a span is told to."""

    def log(
        self,
        message: str,
        *,
        level: str = ...,
        agent_name: str | None = ...,
        event_type: str | None = ...,
        payload: Any = ...,
    ) -> object: ...


_outer: contextvars.ContextVar[str | None] = contextvars.ContextVar("runcast_span", default=None)


class Span:
    """One part. It begins and ends with its block, in `with` or `async with`.

    An exception makes it fail and goes on to the caller. `id` joins its two entries, `parent_id` is the
    span that it lies in.
    """

    def __init__(self, run: Logs, name: str, kind: str, input: Any, agent_name: str | None) -> None:
        self.id = str(uuid7())
        self.parent_id = _outer.get()
        self.name = name
        self.kind = kind
        self._run = run
        self._input = input
        self._agent_name = agent_name
        self._output: Any = None
        self._began = 0.0
        self._token: contextvars.Token[str | None] | None = None

    def output(self, value: Any) -> None:
        """What came out of it."""
        self._output = value

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._token = _outer.set(self.id)
        more = {} if self._input is None else {"input": self._input}
        self._log(self.name, "info", "tool" if self.kind == "tool" else "span", more)
        return self

    def __exit__(
        self,
        _: type[BaseException] | None,
        error: BaseException | None,
        __: TracebackType | None,
    ) -> None:
        if self._token is not None:
            try:
                _outer.reset(self._token)
            except ValueError:  # a generator that is left in another context
                _outer.set(self.parent_id)
        milliseconds = round((time.monotonic() - self._began) * 1_000)
        more: dict[str, Any] = {"ok": error is None, "ms": milliseconds}
        if self._output is not None:
            more["output"] = self._output
        if error is not None:
            more["error"] = f"{type(error).__name__}: {_text(error)}"
        level = "info" if error is None else "error"
        outcome = "done" if error is None else more["error"]
        kind = "tool_result" if self.kind == "tool" else "span_end"
        self._log(f"{self.name}: {outcome}", level, kind, more)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *left: Any) -> None:
        self.__exit__(*left)

    def _log(self, message: str, level: str, event_type: str, more: dict[str, Any]) -> None:
        payload = {"call_id": self.id, "tool": self.name, "kind": self.kind, **more}
        if self.parent_id is not None:
            payload["parent_id"] = self.parent_id
        self._run.log(
            message,
            level=level,
            agent_name=self._agent_name,
            event_type=event_type,
            payload=payload,
        )


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a host's own __str__ may raise anything
        return ""
