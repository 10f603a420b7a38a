"""Functions as runs and as parts of runs.

    @runcast.run(project="demo")
    def nightly(date):
        plan(date)

    @runcast.step("plan")
    def plan(date): ...

For functions, coroutines, generators and asynchronous generators. A decorated function does what it did:
arguments, results and exceptions are its own.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, Unpack, cast, overload

from runcast._support import acceptable
from runcast._tracking.fields import RunOptions
from runcast.tracker import AsyncRunTracker, RunTracker, current_run

P = ParamSpec("P")
R = TypeVar("R")
Block = Callable[[], Any]


@overload
def run(name: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def run(
    name: str | None = None, **fields: Unpack[RunOptions]
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def run(name: Any = None, **fields: Any) -> Any:
    """Each call of the function is a run; `fields` as `RunTracker` takes them. Without any it may stand
    without parentheses."""
    if callable(name) and not isinstance(name, str):
        return run()(name)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        shown = _shown(name, function)
        return _within(
            function,
            lambda: RunTracker(name=shown, **fields),
            lambda: AsyncRunTracker(name=shown, **fields),
        )

    return decorate


@overload
def step(name: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def step(
    name: str | None = None, *, kind: str = "step"
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def step(name: Any = None, *, kind: str = "step") -> Any:
    """Each call of the function is a part of the current run, with its duration and how it ended. Without a
    current run the function is called as it is. It may stand without parentheses, too."""
    if callable(name) and not isinstance(name, str):
        return step()(name)

    named = acceptable.printable(kind)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        shown = _shown(name, function)

        def block() -> Any:
            current = current_run()
            if current is None:
                return _Nothing()
            if named == "step":
                current.step(shown)
            return current.span(shown, kind=named)

        return _within(function, block, block)

    return decorate


def _shown(name: Any, function: Any) -> Any:
    """The name that was given, else the function's; objects that are called have none."""
    return getattr(function, "__name__", type(function).__name__) if name is None else name


class _Nothing:
    """A block that does nothing."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        return None


def _within(function: Callable[P, R], block: Block, async_block: Block) -> Callable[P, R]:
    """The function, each call of it within a block."""
    called: Any = function
    if inspect.isasyncgenfunction(function):
        return cast(Callable[P, R], _async_generator(called, async_block))
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine(*args: P.args, **kwargs: P.kwargs) -> Any:
            async with async_block():
                return await called(*args, **kwargs)

        return cast(Callable[P, R], coroutine)
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generator(*args: P.args, **kwargs: P.kwargs) -> Any:
            with block():
                return (yield from called(*args, **kwargs))

        return cast(Callable[P, R], generator)

    @functools.wraps(function)
    def plain(*args: P.args, **kwargs: P.kwargs) -> R:
        with block():
            return function(*args, **kwargs)

    return plain


def _async_generator(function: Callable[..., Any], block: Block) -> Callable[..., Any]:
    """An asynchronous generator within a block. What its caller sends or throws is the function's own
    matter: there is no `yield from` that would hand it on."""

    @functools.wraps(function)
    async def async_generator(*args: Any, **kwargs: Any) -> Any:
        async with block(), contextlib.aclosing(function(*args, **kwargs)) as inner:
            step = inner.__anext__()
            while True:
                try:
                    value = await step
                except StopAsyncIteration:
                    return
                try:
                    sent = yield value
                except GeneratorExit:
                    raise
                except BaseException as error:
                    step = inner.athrow(error)
                else:
                    step = inner.asend(sent)

    return async_generator
