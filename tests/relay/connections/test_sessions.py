"""Every interleaving that hypothesis finds of publishing, flushing, full sockets and newcomers:
each client gets every frame from its place on, in order and once."""

import json
from collections.abc import Callable
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from relay.access.gate import OPEN
from relay.close_codes import CloseCode
from relay.connections.access_log import AccessLog
from relay.connections.admission import Admitted, Parameters
from relay.connections.scheduling import Pacer
from relay.connections.session import Session, SessionContext
from relay.stream import encoding
from relay.stream.change import HOTSPOTS, Change
from relay.stream.counters import Counters
from relay.stream.encoding import Format, texts
from relay.stream.filters import Filter
from relay.stream.flusher import Flusher
from relay.stream.hub import Hub
from relay.upstream.state import UpstreamState

NEVER_READ = cast(Any, None)  # these sessions begin without a state and without a cursor


class Socket:
    """The transport of one client, which takes what it is told to take."""

    def __init__(self) -> None:
        self.paused = False
        self.descriptor = None
        self.full = False
        self.messages: list[str] = []
        self.left: tuple[int, str] | None = None
        self.session: Session | None = None

    def write(self, data: bytes) -> None:
        """Takes all of it, and no more when it is full then."""
        assert self.left is None
        self.messages += map(brief, texts(data))
        if self.full and not self.paused:
            self.paused = True
            if self.session is not None:
                self.session.blocked()

    def take(self) -> None:
        """The client has read everything."""
        self.full = False
        if self.paused:
            self.paused = False
            if self.session is not None:
                self.session.unblocked()

    def unsent(self) -> int:
        return 0

    def close(self, code: int, reason: str) -> None:
        self.left = code, reason

    def abort(self) -> None:
        raise AssertionError("nothing here is cut off")


def brief(message: str) -> str:
    """What is kept of it here: enough to tell it from others."""
    return message[:60] + message[-30:]


class Figures(AccessLog):
    """Notes how many messages each client was sent, by its address."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, int] = {}

    def disconnected(
        self, client: str, endpoint: str, reason: str, messages: int, seconds: float
    ) -> None:
        self.sent[client] = messages


class Loop:
    """A turn at a time; the clock stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting: list[Callable[[], None]] = []

    def later(self, _: float, call: Callable[[], None]) -> None:
        self.waiting.append(call)

    def turn(self, number: int = 0) -> None:
        """Runs one of the calls that wait."""
        if self.waiting:
            self.waiting.pop(number % len(self.waiting))()


class Following(RuleBasedStateMachine):
    most_behind = 10**9  # nobody falls too far behind by itself

    def __init__(self) -> None:
        super().__init__()
        self.loop = Loop()
        self.counts = Counters()
        self.figures = Figures()
        flusher = Flusher(
            self.counts,
            schedule=self.loop.later,
            now=lambda: self.loop.now,
            clock=lambda: self.loop.now,
        )
        self.hub = Hub(changed=flusher.changed)
        self.stream = self.hub[HOTSPOTS]
        self.shared = SessionContext(
            hub=self.hub,
            states=NEVER_READ,
            resumes=NEVER_READ,
            pacer=Pacer(schedule=self.loop.later, now=self.tick),
            upstream_state=lambda: UpstreamState.LIVE,
            counts=self.counts,
            now=lambda: self.loop.now,
            clock=lambda: self.loop.now,
            max_behind_bytes=self.most_behind,
            access_log=self.figures,
        )
        self.rows: list[str] = []
        self.events: list[str] = []
        self.clients: list[tuple[Socket, Format, int]] = []  # and how much there was when it came

    def tick(self) -> float:
        self.loop.now += 0.002
        return self.loop.now

    @rule(count=st.integers(1, 4), size=st.sampled_from([1, 30_000, 100_000]))
    def publish(self, count: int, size: int) -> None:
        changes = []
        for _ in range(count):
            row = {"id": len(self.rows) + 1, "text": "x" * size}
            self.rows.append(brief(json.dumps(row, separators=(",", ":"))))
            change = Change(HOTSPOTS, len(self.rows), 1, 100, row)
            changes.append(change)
            event = encoding.event(change, self.stream.seq + len(changes))
            self.events.append(brief(event))
        self.stream.publish(changes)

    @rule()
    def announce(self) -> None:
        news = '{"type":"status","upstream":"down"}'
        self.events.append(brief(news))
        self.stream.announce(news)

    @rule(number=st.integers(0, 3))
    def turn(self, number: int) -> None:
        self.loop.turn(number)

    @rule()
    def come(self) -> None:
        socket = self.open(Format.ROWS, len(self.rows))
        assert socket.session is not None
        socket.session.begin()

    @rule(data=st.data())
    def go_on_from(self, data: st.DataObject) -> None:
        position = data.draw(st.integers(0, len(self.events)))
        socket = self.open(Format.EVENTS, position)
        assert socket.session is not None
        socket.session.play(iter(()), position)

    def go_on_from_now(self) -> None:
        """A client of events that has had everything."""
        socket = self.open(Format.EVENTS, len(self.events))
        assert socket.session is not None
        socket.session.play(iter(()), len(self.events))
        while self.loop.waiting:
            self.loop.turn()

    @rule(data=st.data())
    def fill(self, data: st.DataObject) -> None:
        self.some(data).full = True

    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        self.some(data).take()

    @rule(data=st.data())
    def ping(self, data: st.DataObject) -> None:
        socket = self.some(data)
        if socket.session is not None and not socket.paused:
            socket.session.receive('{"type":"ping"}')

    def nobody_gets_anything_else(self) -> None:
        for socket, format, start in self.clients:
            every = self.rows if format is Format.ROWS else self.events
            found = [text for text in socket.messages if text != brief(encoding.PONG)]
            first = every.index(found[0]) if found and format is Format.ROWS else start
            assert first <= start
            assert found == every[first : first + len(found)]

    def teardown(self) -> None:
        for _ in range(3):
            for socket, _, _ in self.clients:
                socket.take()
            while self.loop.waiting:
                self.loop.turn()
        self.nobody_gets_anything_else()
        sent = {format.value: 0 for format in Format}
        for number, (socket, format, start) in enumerate(self.clients):
            every = self.rows if format is Format.ROWS else self.events
            assert len(socket.messages) >= len(every) - start
            assert socket.session is not None
            socket.session.close(CloseCode.RESTARTING, "")
            assert self.figures.sent[str(number)] == len(socket.messages)
            sent[format.value] += len(socket.messages)
        assert {name: self.counts.deliveries[name] for name in sent} == sent
        assert all(not group.members and not group.caught_up for group in self.stream.groups())

    def open(self, format: Format, start: int) -> Socket:
        socket = Socket()
        wanted = Parameters(Filter(HOTSPOTS))
        admitted = Admitted(format, wanted, str(len(self.clients)), "here", OPEN)
        socket.session = Session(socket, admitted, wanted, self.shared)
        self.clients.append((socket, format, start))
        return socket

    def some(self, data: st.DataObject) -> Socket:
        if not self.clients:
            self.come()
        return data.draw(st.sampled_from(self.clients))[0]


TestFollowing = Following.TestCase
TestFollowing.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_who_is_too_far_behind_is_ended_where_it_cannot_start_anew() -> None:
    class Strict(Following):
        most_behind = 1_000_000

    machine = Strict()
    machine.come()
    socket = machine.clients[0][0]
    machine.publish(1, 1)
    socket.full = True
    while machine.loop.waiting:
        machine.loop.turn()
    machine.publish(4, 300_000)
    while machine.loop.waiting:
        machine.loop.turn()
    assert socket.session is not None
    socket.session.check()
    assert socket.left is not None
    assert socket.left[0] == CloseCode.TOO_SLOW


def test_who_takes_nothing_for_long_is_ended() -> None:
    machine = Following()
    machine.go_on_from_now()
    socket = machine.clients[0][0]
    socket.full = True
    machine.publish(1, 1)
    while machine.loop.waiting:
        machine.loop.turn()
    assert machine.shared.blocked == {socket.session}
    assert socket.session is not None
    machine.loop.now += 19
    socket.session.check()
    assert socket.left is None
    machine.loop.now += 2
    socket.session.check()
    assert socket.left is not None
    assert machine.shared.blocked == set()


def test_answers_that_are_not_read_are_bounded() -> None:
    machine = Following()
    machine.go_on_from_now()
    socket = machine.clients[0][0]
    assert socket.session is not None
    socket.full = True
    for _ in range(100):
        if socket.left is None:
            socket.session.receive('{"type":"ping"}')
    assert socket.left is not None
    assert socket.left[0] == CloseCode.TOO_MANY_MESSAGES
    assert len(socket.messages) < 70
