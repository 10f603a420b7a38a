"""How a run ends with the error that leaves it."""

import sys

from runcast._support.encoding import as_text

_TOLD = 5
"""Of how many errors that came together the reason of a failed run tells."""


def outcome(error: BaseException | None) -> tuple[str, str | None]:
    """How a run ended that this left: status and reason."""
    match error:
        case None:
            return "completed", None
        case SystemExit():
            code = error.code
            ended_well = code is None or (isinstance(code, int) and int.__int__(code) == 0)
            return ("completed", None) if ended_well else ("failed", f"exit: {as_text(code)}")
    if _is_cancellation(error):
        return "cancelled", type(error).__name__
    return "failed", _reason(error) or type(error).__name__


def _reason(error: BaseException) -> str:
    """What an error says; of errors that came together, also what each of the first ones says."""
    text = as_text(error)
    if isinstance(error, BaseExceptionGroup):
        each = [f"{type(one).__name__}: {as_text(one)}" for one in error.exceptions[:_TOLD]]
        text = "; ".join([text, *each])
    return text


def _is_cancellation(error: BaseException) -> bool:
    """Whether what was going on was cancelled. No task was where asyncio was never imported."""
    if isinstance(error, BaseExceptionGroup):
        together = error.exceptions
        return not any(isinstance(one, BaseExceptionGroup) for one in together) and all(
            map(_is_cancellation, together)
        )
    asyncio = sys.modules.get("asyncio.exceptions")
    is_task = asyncio is not None and isinstance(error, asyncio.CancelledError)
    return is_task or isinstance(error, (KeyboardInterrupt, GeneratorExit))
