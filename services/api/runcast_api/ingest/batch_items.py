"""Messages on their way through a batch, and the messages that lines of a feed are.

A feed is a source whose lines are not log lines: `spool.jsonl` holds messages, `events.jsonl` progress
events. It has the same cursor as every source, so any sender (SDK, tailer, `runcast sync`), how
often and over which way, each of its lines counts once, for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from runcast.contract import FEEDS, PROGRESS_FILE
from runcast_api.ingest import guard, messages
from runcast_api.ingest.messages import Message, Refused
from runcast_api.ingest.run_lookup import Address
from runcast_server.errors import Problem, Unavailable


@dataclass(slots=True)
class Item:
    """One message with the bytes that it came as. `refusal` is why it ended early."""

    raw: bytes
    message: Message | None = None
    address: Address | None = None
    refusal: str | None = None
    is_done: bool = False
    """Nothing is left to do: it came before under the same id, or it is an empty line."""
    inner: list[Item] = field(default_factory=list)
    """The messages that the lines of a feed are, by place."""
    is_tailers: bool = False
    """Whether it came by the tailer's own stream."""

    @property
    def is_open(self) -> bool:
        return self.refusal is None and not self.is_done

    def refused(self) -> list[Item]:
        """This item and those inside it that were refused."""
        inner = [each for item in self.inner for each in item.refused()]
        return [self, *inner] if self.refusal is not None else inner

    def __enter__(self) -> Message:
        assert self.message is not None
        return self.message

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        """What a handler refuses becomes the item's refusal; anything else is the batch's failure."""
        is_refusal = isinstance(error, Refused) or (
            isinstance(error, Problem) and not isinstance(error, Unavailable)
        )
        if is_refusal:
            self.refusal = str(error)
        return is_refusal


def read(raw: bytes, *, is_tailers: bool = True) -> Item:
    """The item of a message as it came. Raises nothing: what can't be understood is refused.

    Only where it `is_tailers` is the message believed that says where its lines lie in a file.
    """
    return _understood(raw, lambda: messages.parse(raw), is_tailers)


def of_value(raw: bytes, value: Any, *, is_tailers: bool = True) -> Item:
    """The same for a message whose JSON was read before."""
    return _understood(raw, lambda: messages.understand(value), is_tailers)


def _understood(raw: bytes, understand: Callable[[], Message], is_tailers: bool) -> Item:
    item = Item(raw, is_tailers=is_tailers)
    try:
        message = understand()
        if message.lines is not None and not is_tailers:
            message.lines = message.lines.by_a_reporter()
        item.message = message
    except Refused as refused:
        item.refusal = str(refused)
    except Exception as error:  # the outermost place of a message that is read
        item.refusal = guard.reason(error)
    return item


def is_feed(source: str) -> bool:
    return source in FEEDS


def open_feed(item: Item) -> None:
    """Understands the lines of a feed, for the run whose feed it is."""
    lines = item.message.lines if item.message else None
    if lines is not None and is_feed(lines.source) and item.address is not None:
        item.inner = [_inner(text, lines.source, item.address) for text in lines.lines]
        for inner in item.inner:
            inner.is_tailers = item.is_tailers


def _inner(text: str, source: str, address: Address) -> Item:
    item = Item(text.encode(), address=address, is_done=not text.strip())
    if item.is_done:
        return item
    try:
        members = messages.decode(item.raw)
        if source == PROGRESS_FILE:
            members = {"type": "run:progress", "data": members}
        message = item.message = messages.understand(members, run_id=address.run_id)
        if message.lines is not None:
            # The file was written by the agent, not by the tailer.
            message.lines = message.lines.by_a_reporter()
        if message.lines is not None and is_feed(message.lines.source):
            raise Refused("a feed within a feed")
    except Refused as refused:
        item.refusal = str(refused)
    except Exception as error:  # the outermost place of a line that is read
        item.refusal = guard.reason(error)
    return item
