"""The channels of one socket: what each message of a client leads to."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from emulator.identity import Identity, InvalidToken
from emulator.realtime import tokens
from emulator.realtime.phoenix import Message

PREFIX = "realtime:"
SUBSCRIBED = "Subscribed to PostgreSQL"


@dataclass(eq=False, slots=True)
class Channel:
    """A joined topic; `bindings` are the client's parameters with the ids they were given."""

    topic: str
    join_ref: Any
    token: str
    identity: Identity
    bindings: tuple[tuple[int, Mapping[str, Any]], ...]

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


Effect = Send | Pause | Subscribe | Watch | Unsubscribe


@dataclass(slots=True)
class Channels:
    """State of one socket; each method returns what is to be done, in order.

    `identify` raises InvalidToken; `key` is the API key of the connection.
    """

    key: str
    identify: Callable[[str], Identity]
    limit: int
    joined: dict[str, Channel] = field(default_factory=dict)

    def receive(self, message: Message) -> list[Effect]:
        """What a client's message leads to."""
        if message.topic == "phoenix":
            return [_ok(message, {})] if message.event == "heartbeat" else [_unmatched(message)]
        if message.event == "phx_join" and message.topic.startswith(PREFIX):
            return self._join(message)
        channel = self.joined.get(message.topic)
        if message.event == "phx_leave":
            return self._leave(message, channel)
        if channel is None:
            return [_unmatched(message)]
        if message.event == "access_token":
            return self._renew(channel, message.payload.get("access_token"))
        if message.event in ("broadcast", "presence"):
            return [_error(message, f"{message.event} is not imitated by this emulator")]
        return []

    def subscribed(self, channel: Channel) -> list[Effect]:
        """What follows when the database accepted the bindings."""
        return [Send(channel.system("ok", SUBSCRIBED))]

    def rejected(self, channel: Channel, reason: str) -> list[Effect]:
        """What follows when it did not: the channel stays, without bindings."""
        return [Send(channel.system("error", reason))]

    def expired(self, channel: Channel, seconds: int) -> list[Effect]:
        """What follows when the channel's token ended `seconds` ago."""
        return self._shut(channel, tokens.expiry_message(seconds))

    def _join(self, message: Message) -> list[Effect]:
        former = self.joined.pop(message.topic, None)
        effects = self._joining(message)
        if former is not None:
            effects = [Unsubscribe(former), *effects]
            # The client has to ignore this one: it carries the former join ref, after the reply.
            at = next(i for i, effect in enumerate(effects) if isinstance(effect, Send)) + 1
            effects.insert(at, Send(former.closed()))
        return effects

    def _joining(self, message: Message) -> list[Effect]:
        if message.topic == PREFIX:
            return _refuse(message, "TopicNameRequired: You must provide a topic name")
        if len(self.joined) >= self.limit:
            return _refuse(message, "ChannelRateLimitReached: Too many channels")
        if (missing := not_imitated(message.payload)) is not None:
            return [_error(message, missing)]
        token = _token(message.payload) or self.key
        try:
            identity = self.identify(token)
            bindings = _bindings(message.payload)
        except InvalidToken as error:
            return _refuse(message, tokens.join_refusal(error))
        except TypeError as error:
            return _refuse(message, f"UnknownErrorOnChannel: {error}")
        channel = Channel(message.topic, message.join_ref, token, identity, bindings)
        self.joined[message.topic] = channel
        echo = [{"id": id_, **dict(sorted(params.items()))} for id_, params in bindings]
        effects: list[Effect] = [_ok(message, {"postgres_changes": echo}), Watch(channel)]
        return [*effects, Subscribe(channel, renewal=False)] if bindings else effects

    def _leave(self, message: Message, channel: Channel | None) -> list[Effect]:
        if channel is None:
            return [_ok(message, {})]
        del self.joined[channel.topic]
        return [Unsubscribe(channel), _ok(message, {}), Send(channel.closed())]

    def _renew(self, channel: Channel, token: object) -> list[Effect]:
        if not isinstance(token, str) or token.startswith("sb_") or token == channel.token:
            return []
        try:
            identity = self.identify(token)
        except InvalidToken as error:
            return self._shut(channel, tokens.push_refusal(error))
        channel.token, channel.identity = token, identity
        watch: list[Effect] = [Watch(channel)]
        return [*watch, Subscribe(channel, renewal=True)] if channel.bindings else watch

    def _shut(self, channel: Channel, reason: str) -> list[Effect]:
        del self.joined[channel.topic]
        message = channel.system("error", reason, extension="system")
        return [Unsubscribe(channel), Send(message), Send(channel.closed())]


def not_imitated(payload: Mapping[str, Any]) -> str | None:
    """What a join asks for that this emulator has not; None when it has all of it."""
    config = payload.get("config", payload)
    if config is payload:
        return "a join without config is not imitated by this emulator"
    if not isinstance(config, dict):
        return None
    broadcast, presence = config.get("broadcast") or {}, config.get("presence") or {}
    if config.get("private"):
        return "private channels are not imitated by this emulator"
    if isinstance(presence, dict) and presence.get("enabled"):
        return "presence is not imitated by this emulator"
    for option in ("replay", "replication_ready"):
        if isinstance(broadcast, dict) and broadcast.get(option):
            return f"broadcast option {option} is not imitated by this emulator"
    return None


def binding_id(params: Mapping[str, Any]) -> int:
    """A positive number that equal parameters share, on every connection."""
    canonical = json.dumps(params, sort_keys=True).encode()
    return zlib.crc32(canonical) % 2**27 or 1


def _bindings(payload: Mapping[str, Any]) -> tuple[tuple[int, Mapping[str, Any]], ...]:
    config = payload.get("config")
    listed = config.get("postgres_changes") if isinstance(config, dict) else None
    if not isinstance(listed, list):
        return ()
    entries = [params for params in listed if params is not None]
    for params in entries:
        if not isinstance(params, dict):
            raise TypeError(f"expected a map, got:\n\n    {json.dumps(params)}\n")
    return tuple((binding_id(params), params) for params in entries)


def _token(payload: Mapping[str, Any]) -> str | None:
    """The token to use in the place of the connection's; keys of the newer kind are not."""
    for name in ("user_token", "access_token"):
        if isinstance(token := payload.get(name), str):
            return None if token.startswith("sb_") else token
    return None


def _reply(message: Message, status: str, response: Mapping[str, Any]) -> Send:
    payload = {"status": status, "response": response}
    return Send(Message(message.topic, "phx_reply", payload, message.ref, message.join_ref))


def _ok(message: Message, response: Mapping[str, Any]) -> Send:
    return _reply(message, "ok", response)


def _error(message: Message, reason: str) -> Send:
    return _reply(message, "error", {"reason": reason})


def _unmatched(message: Message) -> Send:
    return _error(message, "unmatched topic")


def _refuse(message: Message, reason: str) -> list[Effect]:
    return [Pause(), _error(message, reason)]
