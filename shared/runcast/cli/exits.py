"""Exit codes of `runcast`, so that scripts can tell one failure from another (`docs/cli.md`)."""

from runcast import errors

OK = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
DENIED = 4
NOT_FOUND = 5
REFUSED = 6
TIMED_OUT = 124
NOT_EXECUTABLE = 126
NO_COMMAND = 127
INTERRUPTED = 130
READER_GONE = 141
"""128 + SIGPIPE: what a shell tells of a program whose reader went away."""
BY_SIGNAL = 128
"""Plus the signal's number: a command that a signal ended."""


def of(error: errors.RuncastError) -> int:
    """The code that stands for an error."""
    match error:
        case errors.NotConfigured() | errors.Unreachable() | errors.Unavailable():
            return UNREACHABLE
        case errors.Unauthorized() | errors.Forbidden() | errors.StreamEnded():
            return DENIED
        case errors.NotFound():
            return NOT_FOUND
        case errors.ApiError():
            return REFUSED
        case _:
            return FAILED
