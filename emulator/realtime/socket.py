"""One client's WebSocket: frames in, what they lead to out."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from collections.abc import Callable, Iterable

import psycopg
from psycopg_pool import PoolTimeout
from starlette.websockets import WebSocket, WebSocketDisconnect

from emulator import wire
from emulator.realtime import catalog, filters, phoenix, tokens
from emulator.realtime.broadcasts import Listener, Listeners
from emulator.realtime.channel import Channels
from emulator.realtime.delivery import Delivery, Pool
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
from emulator.realtime.fanout import Subscriber
from emulator.realtime.outbox import Outbox, Overflow
from emulator.realtime.phoenix import Version
from emulator.realtime.policies import Policies, Verdict
from emulator.realtime.settings import RealtimeSettings
from emulator.realtime.tables import viewer

logger = logging.getLogger(__name__)

DATABASE_AWAY = '{:error, "Too many database timeouts"}'
RETRY_SECONDS = (5.0, 10.0)
OVERFLOW_CODE = 1011
CLOSE_SECONDS = 2.0


class Session:
    """A connected client; `run` returns when it has gone."""

    def __init__(
        self,
        websocket: WebSocket,
        vsn: Version,
        channels: Channels,
        delivery: Delivery,
        listeners: Listeners,
        pool: Pool,
        settings: RealtimeSettings,
        clock: Callable[[], float],
    ) -> None:
        self._websocket = websocket
        self._wire = wire.websocket(websocket.scope)
        self._vsn = vsn
        self._channels = channels
        self._delivery = delivery
        self._listeners = listeners
        self._pool = pool
        self._policies = Policies(pool)
        self._settings = settings
        self._clock = clock
        self._outbox = Outbox(settings.max_queued_frames, settings.max_queued_bytes)
        self._subscribing: dict[Channel, asyncio.Task[None]] = {}
        self._subscribers: dict[Channel, Subscriber] = {}
        self._listening: dict[Channel, Listener] = {}
        self._awaiting: dict[Channel, asyncio.Task[None]] = {}
        self._expiries: dict[Channel, asyncio.TimerHandle] = {}
        self._tasks = asyncio.TaskGroup()

    async def run(self) -> None:
        """Serve the client until it leaves, is silent for too long or reads too slowly."""
        code: int | None = None
        try:
            async with self._tasks:
                sending = self._tasks.create_task(self._outbox.drain(self._wire.write))
                watching = self._tasks.create_task(self._outbox.watch())
                code = await self._read()
                sending.cancel()
                watching.cancel()
                self._forget_all()
        except* Overflow:
            code = OVERFLOW_CODE
        except* WebSocketDisconnect:
            logger.debug("client gone while a frame was being sent")
        finally:
            self._forget_all()
        if code is not None:
            await self._close(code)

    async def _read(self) -> int | None:
        """The close code to send, or None when the client closed."""
        while True:
            try:
                async with asyncio.timeout(self._settings.idle_seconds):
                    event = await self._websocket.receive()
            except TimeoutError:
                return 1000
            if event["type"] == "websocket.disconnect":
                return None
            text, content = event.get("text"), event.get("bytes")
            if (frame := content if text is None else text) is not None:
                await self._take(frame)

    async def _take(self, frame: str | bytes) -> None:
        try:
            message = phoenix.decode(self._vsn, frame)
        except phoenix.MalformedFrame as exc:
            logger.info("frame ignored reason=%r", str(exc))  # so does the real server
            return
        for effect in self._channels.receive(message):
            if isinstance(effect, Ask):
                self._apply(effect.then(await self._answer(effect)))
            else:
                self._apply([effect])

    async def _answer(self, question: Ask) -> Verdict:
        channel = question.channel
        caller = viewer(channel.identity.role, channel.identity.claims)
        if question.action == "read":
            return await self._policies.readable(caller, channel.name, question.extensions)
        return await self._policies.writable(caller, channel.name)

    def _apply(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(message):
                    self._outbox.put(phoenix.encode(self._vsn, message))
                case Pause():
                    self._outbox.pause(self._settings.join_refusal_ms / 1000)
                case Subscribe(channel, renewal):
                    self._start_subscribing(channel, renewal)
                case Watch(channel):
                    self._watch(channel)
                case Unsubscribe(channel):
                    self._forget(channel)
                case Listen(channel):
                    self._listen(channel)
                case AwaitReplication(channel):
                    work = self._await_replication(channel)
                    self._awaiting[channel] = self._tasks.create_task(work)
                case Publish(channel, broadcast):
                    options = channel.options
                    but = None if options.to_self else self._listening.get(channel)
                    self._listeners.deliver(channel.name, options.private, broadcast, but)
                case Ask():
                    raise TypeError("only what a client sends can lead to a question")

    def _listen(self, channel: Channel) -> None:
        if channel not in self._listening:
            private = channel.options.private
            listener = Listener(channel.name, private, self._vsn, self._outbox.put_packed)
            self._listening[channel] = listener
            self._listeners.add(listener)

    async def _await_replication(self, channel: Channel) -> None:
        # The real server does not hear of it either: it looks again and again.
        now = asyncio.get_running_loop().time
        deadline = now() + self._settings.replication_ready_seconds
        while not self._listeners.replicating.is_set():
            if now() >= deadline:
                self._apply(self._channels.not_replicating(channel))
                return
            await asyncio.sleep(self._settings.replication_check_ms / 1000)
        self._apply(self._channels.replicating(channel))

    def _start_subscribing(self, channel: Channel, renewal: bool) -> None:
        if (former := self._subscribing.pop(channel, None)) is not None:
            former.cancel()
        delay = self._settings.token_ms if renewal else self._settings.join_ms
        work = self._subscribe(channel, delay / 1000)
        self._subscribing[channel] = self._tasks.create_task(work, name=f"join {channel.topic}")

    async def _subscribe(self, channel: Channel, delay_seconds: float) -> None:
        await asyncio.sleep(delay_seconds)
        await self._delivery.warm()
        while True:
            try:
                subscriber = await self._accepted(channel)
            except filters.InvalidBinding as exc:
                self._apply(self._channels.rejected(channel, str(exc)))
            except (psycopg.OperationalError, PoolTimeout):
                self._apply(self._channels.rejected(channel, DATABASE_AWAY))
                await asyncio.sleep(random.uniform(*RETRY_SECONDS))  # noqa: S311 - no secret
                continue
            else:
                self._serve(channel, subscriber)
            del self._subscribing[channel]
            return

    async def _accepted(self, channel: Channel) -> Subscriber:
        """The channel's bindings, checked all before any counts."""
        bindings = [(id_, filters.parse(params)) for id_, params in channel.bindings]
        role = channel.identity.role
        async with self._pool.connection() as connection:
            resolved = await catalog.resolve(
                connection, self._settings.publication, role, [b for _, b in bindings]
            )
        tables: dict[int, list[tuple[int, filters.Binding]]] = {}
        for entry, oids in zip(bindings, resolved, strict=True):
            for oid in oids:
                tables.setdefault(oid, []).append(entry)
        seen = viewer(role, channel.identity.claims)
        renew = functools.partial(self._start_subscribing, channel, False)
        return Subscriber(channel.topic, self._vsn, seen, tables, self._outbox.put_packed, renew)

    def _serve(self, channel: Channel, subscriber: Subscriber) -> None:
        if (former := self._subscribers.pop(channel, None)) is not None:
            self._delivery.replace(former, subscriber)
        else:
            self._delivery.add(subscriber)
        self._subscribers[channel] = subscriber
        self._apply(self._channels.subscribed(channel))

    def _watch(self, channel: Channel) -> None:
        if (former := self._expiries.pop(channel, None)) is not None:
            former.cancel()
        if (expires := tokens.expires_at(channel.identity)) is not None:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(max(0, expires - self._clock()), self._expire, channel)
            self._expiries[channel] = timer

    def _expire(self, channel: Channel) -> None:
        late = self._clock() - (tokens.expires_at(channel.identity) or 0)
        self._apply(self._channels.expired(channel, max(0, int(late))))

    def _forget(self, channel: Channel) -> None:
        if (task := self._subscribing.pop(channel, None)) is not None:
            task.cancel()
        if (task := self._awaiting.pop(channel, None)) is not None:
            task.cancel()
        if (timer := self._expiries.pop(channel, None)) is not None:
            timer.cancel()
        if (subscriber := self._subscribers.pop(channel, None)) is not None:
            self._delivery.leave(subscriber)
        if (listener := self._listening.pop(channel, None)) is not None:
            self._listeners.remove(listener)

    def _forget_all(self) -> None:
        tasks = (*self._subscribing, *self._awaiting)
        for channel in {*tasks, *self._expiries, *self._subscribers, *self._listening}:
            self._forget(channel)

    async def _close(self, code: int) -> None:
        """Send a close frame, unless the client takes nothing any more."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._websocket.close(code)
        except (TimeoutError, WebSocketDisconnect) as exc:
            logger.info("connection not closed in order error=%s", type(exc).__name__)
