"""What a person reads, and a script gets as exit code, when a command fails: one line, with what to
do about it."""

import os

import typer
from typer import exceptions as usage

from runcast import errors
from runcast._support.terminal import harmless
from runcast.cli import exits, output, stdio


def outcome(error: BaseException) -> int:
    """Says the error on stderr and answers the exit code. Raises what is a fault of ours."""
    error = _first(error)
    match error:
        case usage.Exit():
            return error.exit_code
        case KeyboardInterrupt() | usage.Abort():
            return exits.INTERRUPTED
        case usage.TyperException():
            return _misused(error)
        case errors.RuncastError():
            return _refused(error)
        case OSError():
            return _broken(error)
        case ModuleNotFoundError() if not (error.name or "").startswith("runcast"):
            # The servers' commands load their libraries when they run.
            _say(f"{error.name} is not installed; for servers: pip install 'runcast[embedded]'")
            return exits.USAGE
    raise error


def _misused(error: usage.TyperException) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message(), err=True)
    else:
        context = getattr(error, "ctx", None)
        see = f" (see: {context.command_path} --help)" if context is not None else ""
        _say(f"{error.format_message().rstrip('.')}{see}")
    return exits.USAGE


def _refused(error: errors.RuncastError) -> int:
    told = _told(error)
    _say(f"{told}{advice(error)}")
    for each in getattr(error, "errors", []):
        said = f"{each.get('field', '')}: {each.get('message', each)}"
        if said != told:
            _say(f"  {said}", prefix="")
    return exits.of(error)


def _broken(error: OSError) -> int:
    if stdio.is_reader_gone(error):
        stdio.silence(1, 2)
        return exits.READER_GONE
    reason = error.strerror or str(error) or type(error).__name__
    _say(f"{os.fsdecode(error.filename)}: {reason}" if error.filename is not None else reason)
    return exits.FAILED


def advice(error: errors.RuncastError) -> str:
    """What to do, where that can be told from the kind of error."""
    text = str(error)
    match error:
        case errors.Unreachable() if "CERTIFICATE_VERIFY_FAILED" in text or "certificate" in text:
            return " (set SSL_CERT_FILE to the certificate of the server's authority)"
        case errors.Unreachable():
            return " (start it with `runcast up`, read files with `--dir runs`, or ask `runcast doctor`)"
        case errors.Unauthorized():
            return " (set RUNCAST_TOKEN to a key of this server)"
    return ""


def _told(error: errors.RuncastError) -> str:
    """The server's words; its status says more only where the server itself fails."""
    if isinstance(error, errors.ApiError) and error.detail and error.status < 500:
        return error.detail
    return str(error)


def _first(error: BaseException) -> BaseException:
    """Of errors that came together, the first: what the others follow from."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, SystemExit) and isinstance(error.__context__, OSError):
        return error.__context__  # typer's own answer to a broken pipe says 1
    return error


def _say(text: str, prefix: str = "runcast: ") -> None:
    try:
        line = harmless(f"{prefix}{text}".replace("\n", " "), colours=False)
        output.say(line, "red")
    except OSError:
        stdio.silence(2)
