"""The channels of one socket: what each message of a client leads to."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from emulator.identity import Identity, InvalidToken
from emulator.realtime import tokens
from emulator.realtime.broadcasts import (
    MAX_PAYLOAD_BYTES,
    PREFIX,
    Broadcast,
    Enveloped,
    Relayed,
    sorted_json,
)
from emulator.realtime.effects import (
    Ask,
    AwaitReplication,
    Channel,
    Effect,
    Listen,
    Pause,
    Publish,
    Send,
    Subscribe,
    Unsubscribe,
    Watch,
)
from emulator.realtime.options import Options, missing
from emulator.realtime.phoenix import Message
from emulator.realtime.policies import AWAY, Extension, Undecided, Verdict

SUBSCRIBED = "Subscribed to PostgreSQL"
REPLICATING = "Replication connection established"
NOT_REPLICATING = "Replication connection was not established in time"
REVOKED = "You no longer have permission to read from this Channel topic"
TOO_LARGE = "payload_size_exceeded"
READ: tuple[Extension, ...] = ("broadcast", "presence")


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
        if message.event == "broadcast":
            return self._broadcast(channel, message)
        if message.event == "presence":
            return [_error(message, "presence is not imitated by this emulator")]
        return []

    def subscribed(self, channel: Channel) -> list[Effect]:
        """What follows when the database accepted the bindings."""
        return [Send(channel.system("ok", SUBSCRIBED)), *_greeting(channel)]

    def rejected(self, channel: Channel, reason: str) -> list[Effect]:
        """What follows when it did not: the channel stays, without bindings."""
        return [Send(channel.system("error", reason)), *_greeting(channel)]

    def replicating(self, channel: Channel) -> list[Effect]:
        """What follows when broadcasts of the database reach a channel that asked for that."""
        return [Send(channel.system("ok", REPLICATING, extension="system"))]

    def not_replicating(self, channel: Channel) -> list[Effect]:
        """What follows when they do not in time."""
        return self._shut(channel, NOT_REPLICATING)

    def expired(self, channel: Channel, seconds: int) -> list[Effect]:
        """What follows when the channel's token ended `seconds` ago."""
        return self._shut(channel, tokens.expiry_message(seconds))

    def _join(self, message: Message) -> list[Effect]:
        former = self.joined.pop(message.topic, None)
        before: list[Effect] = [] if former is None else [Unsubscribe(former)]
        after: list[Effect] = [] if former is None else [Send(former.closed())]
        if isinstance(joining := self._joining(message), list):
            return [*before, *joining, *after]
        channel = joining
        if not channel.options.private:
            return [*before, *self._joined(message, channel, after)]

        def judged(verdict: Verdict) -> list[Effect]:
            if isinstance(verdict, Undecided):
                return [*_refuse(message, f"{verdict.code}: {verdict.text}"), *after]
            if not verdict:
                return [*_refuse(message, f"Unauthorized: {_not_readable(channel)}"), *after]
            channel.reads = verdict
            return self._joined(message, channel, after)

        return [*before, Ask(channel, "read", _extensions(channel), judged)]

    def _joining(self, message: Message) -> Channel | list[Effect]:
        """The channel that is to be joined, or the refusal."""
        if message.topic == PREFIX:
            return _refuse(message, "TopicNameRequired: You must provide a topic name")
        if len(self.joined) >= self.limit:
            return _refuse(message, "ChannelRateLimitReached: Too many channels")
        if (lack := missing(message.payload)) is not None:
            return [_error(message, lack)]
        token = _token(message.payload) or self.key
        try:
            identity = self.identify(token)
            bindings = _bindings(message.payload)
        except InvalidToken as exc:
            return _refuse(message, tokens.join_refusal(exc))
        except TypeError as exc:
            return _refuse(message, f"UnknownErrorOnChannel: {exc}")
        options = Options.of(message.payload)
        return Channel(message.topic, message.join_ref, token, identity, bindings, options)

    def _joined(self, message: Message, channel: Channel, after: list[Effect]) -> list[Effect]:
        """Effects of a join that is accepted.

        Former channels on the topic end `after` the reply, with a message that carries the former
        join ref and that the client has to ignore.
        """
        self.joined[message.topic] = channel
        bindings = channel.bindings
        echo = [{"id": id_, **dict(sorted(params.items()))} for id_, params in bindings]
        effects: list[Effect] = [_ok(message, {"postgres_changes": echo}), *after, Watch(channel)]
        if "broadcast" in channel.reads:
            effects.append(Listen(channel))
        if channel.options.replication_ready:
            effects.append(AwaitReplication(channel))
        if bindings:
            return [*effects, Subscribe(channel, renewal=False)]
        return [*effects, *_greeting(channel)]

    def _broadcast(self, channel: Channel, message: Message) -> list[Effect]:
        if not channel.options.private or channel.sends:
            return self._publish(channel, message)
        if channel.sends is False:
            return []  # nothing is told to the client

        def judged(verdict: Verdict) -> list[Effect]:
            if isinstance(verdict, Undecided) or not self._has(channel):
                return []
            channel.sends = "broadcast" in verdict
            return self._publish(channel, message) if channel.sends else []

        return [Ask(channel, "write", ("broadcast",), judged)]

    def _publish(self, channel: Channel, message: Message) -> list[Effect]:
        broadcast: Broadcast
        if (user := message.user) is not None:
            broadcast = Enveloped(user.event, user.body)
        else:
            broadcast = Relayed(sorted_json(message.payload))
        if broadcast.size() <= MAX_PAYLOAD_BYTES:
            effects: list[Effect] = [Publish(channel, broadcast)]
            return [*effects, _ok(message, {})] if channel.options.acknowledge else effects
        return [_reply(message, "error", TOO_LARGE)] if channel.options.acknowledge else []

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
        except InvalidToken as exc:
            return self._shut(channel, tokens.push_refusal(exc))
        channel.token, channel.identity = token, identity
        if not channel.options.private:
            return self._renewed(channel)

        def judged(verdict: Verdict) -> list[Effect]:
            if not self._has(channel):
                return []
            if isinstance(verdict, Undecided):
                return self._shut(channel, AWAY)
            if not verdict:
                return self._shut(channel, _not_readable(channel))
            if channel.reads - verdict:
                return self._shut(channel, f"{REVOKED}: {channel.name}")
            channel.reads, channel.sends = verdict, None
            return self._renewed(channel)

        return [Ask(channel, "read", _extensions(channel), judged)]

    def _has(self, channel: Channel) -> bool:
        """Whether it is still there, for its token may have ended meanwhile."""
        return self.joined.get(channel.topic) is channel

    def _renewed(self, channel: Channel) -> list[Effect]:
        effects: list[Effect] = [Watch(channel)]
        if "broadcast" in channel.reads:
            effects.append(Listen(channel))
        return [*effects, Subscribe(channel, renewal=True)] if channel.bindings else effects

    def _shut(self, channel: Channel, reason: str) -> list[Effect]:
        del self.joined[channel.topic]
        message = channel.system("error", reason, extension="system")
        return [Unsubscribe(channel), Send(message), Send(channel.closed())]


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


def _extensions(channel: Channel) -> tuple[Extension, ...]:
    return READ if channel.options.presence else ("broadcast",)


def _not_readable(channel: Channel) -> str:
    return f"You do not have permissions to read from this Channel topic: {channel.name}"


def _greeting(channel: Channel) -> list[Effect]:
    """The presence state, which is always empty: presence is not emulated."""
    if not channel.options.presence or channel.greeted or "presence" not in channel.reads:
        return []
    channel.greeted = True
    return [Send(Message(channel.topic, "presence_state", {}, None, channel.join_ref))]


def _reply(message: Message, status: str, response: object) -> Send:
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
