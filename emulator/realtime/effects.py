"""A joined channel, and what a socket has to do for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from emulator.identity import Identity
from emulator.realtime.broadcasts import PREFIX, Broadcast
from emulator.realtime.options import Options
from emulator.realtime.phoenix import Message
from emulator.realtime.policies import Extension, Verdict

EVERYTHING: frozenset[Extension] = frozenset(("broadcast", "presence"))


@dataclass(eq=False, slots=True)
class Channel:
    """A joined topic; `bindings` are the client's parameters with the ids they were given.

    `reads` says what the caller may read of the topic, `sends` whether it may broadcast there, None
    before that was asked.
    """

    topic: str
    join_ref: Any
    token: str
    identity: Identity
    bindings: tuple[tuple[int, Mapping[str, Any]], ...]
    options: Options
    reads: frozenset[Extension] = EVERYTHING
    sends: bool | None = None
    greeted: bool = False

    @property
    def name(self) -> str:
        """The topic without its prefix, as system messages have it."""
        return self.topic.removeprefix(PREFIX)

    def system(self, status: str, text: str, extension: str = "postgres_changes") -> Message:
        """A system message to this channel."""
        payload = {
            "message": text,
            "status": status,
            "extension": extension,
            "channel": self.name,
        }
        return Message(self.topic, "system", payload, None, self.join_ref)

    def closed(self) -> Message:
        """The message that ends the channel; its ref is that of the join."""
        return Message(self.topic, "phx_close", {}, self.join_ref, self.join_ref)


@dataclass(frozen=True, slots=True)
class Send:
    """Send the message."""

    message: Message


@dataclass(frozen=True, slots=True)
class Pause:
    """Send nothing more for the time that the real server lets a refused client wait."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Subscribe the channel's bindings for its identity, in the place of former ones."""

    channel: Channel
    renewal: bool


@dataclass(frozen=True, slots=True)
class Watch:
    """Call `expired` when the channel's token ends."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Forget the channel."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class Listen:
    """Serve the channel what is broadcast on its topic."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class AwaitReplication:
    """Tell the channel when the broadcasts of the database reach it, or shut it."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class Publish:
    """Broadcast to the channel's topic."""

    channel: Channel
    broadcast: Broadcast


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the policies what the caller may do on the channel's topic; `then` says what follows.

    Until it is answered the real server takes no other message from this socket.
    """

    channel: Channel
    action: Literal["read", "write"]
    extensions: tuple[Extension, ...]
    then: Callable[[Verdict], list[Effect]]


Effect = Send | Pause | Subscribe | Watch | Unsubscribe | Listen | AwaitReplication | Publish | Ask
