"""Who is served when: flushes, turns of those who have much to get, and the wheel."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.connections.scheduling import COSTLY_SECONDS, SLOT_SECONDS, Pacer, TimingWheel
from relay.stream.change import HOTSPOTS
from relay.stream.counters import Counters
from relay.stream.encoding import Format
from relay.stream.fan_out import Departure
from relay.stream.filters import Filter
from relay.stream.flusher import HOLD_SECONDS, Flusher
from relay.stream.hub import MOST_BYTES, Stream
from relay.time_slices import LONGEST_PAUSE_SECONDS
from tests.relay.rows import change


class Clock:
    """A clock, and the calls that wait for their time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.calls.append((seconds, call))

    def run(self) -> None:
        """Makes the next call."""
        seconds, call = self.calls.pop(0)
        self.now += seconds
        call()


class Client:
    """Takes `cost` seconds to be written to."""

    def __init__(self, clock: Clock, cost: float) -> None:
        self.clock, self.cost = clock, cost
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.clock.now += self.cost
        self.written.append(data)

    def fell_behind(self, left: Departure) -> None:
        raise AssertionError("it keeps up")

    def flushed(self) -> None:
        raise AssertionError("it does not wait")

    def start_anew(self) -> None:
        raise AssertionError("there is one history")


def flushing(cost: float) -> tuple[Clock, Stream, Client, Counters]:
    clock, counts = Clock(), Counters()
    flusher = Flusher(counts, schedule=clock.later, now=lambda: clock.now, clock=lambda: clock.now)
    stream = Stream(HOTSPOTS, changed=flusher.changed)
    client = Client(clock, cost)
    group = stream.join(Format.ROWS, Filter(HOTSPOTS), client)
    group.keep(client, client.write, None)
    return clock, stream, client, counts


def test_after_a_pause_a_change_is_sent_at_once() -> None:
    clock, stream, client, counts = flushing(0.005)
    stream.publish([change(1)])
    assert [seconds for seconds, _ in clock.calls] == [0]
    assert client.written == []  # but not before what is published in the same turn
    clock.run()
    assert len(client.written) == 1
    clock.now += 1
    stream.publish([change(2)])
    assert [seconds for seconds, _ in clock.calls] == [0]
    clock.run()
    assert counts.deliveries["rows"] == 2


def test_in_a_burst_changes_are_joined_for_as_long_as_a_flush_takes() -> None:
    clock, stream, client, counts = flushing(0.005)
    stream.publish([change(number) for number in range(8)])
    clock.run()
    stream.publish([change(8)])
    ((seconds, _),) = clock.calls
    assert 0.004 < seconds <= 0.0051
    clock.run()
    assert len(client.written) == 2
    assert counts.deliveries["rows"] == 9
    assert clock.calls == []


def test_what_is_more_than_a_flush_goes_on_in_the_next_one() -> None:
    clock, stream, client, counts = flushing(0)
    stream.publish([change(number, text="x" * (MOST_BYTES // 2)) for number in range(5)])
    while clock.calls:
        clock.run()
    assert counts.deliveries["rows"] == 5
    assert len(client.written) > 2


class Costly(Client):
    """Takes as long as a socket of this machine: some microseconds, and some for each byte."""

    def write(self, data: bytes) -> None:
        self.clock.now += 8e-6 + len(data) / 1.5e9
        self.written.append(data)


@pytest.mark.parametrize(
    ("rows", "clients", "filters"), [(2000, 3000, 1), (1, 10_000, 1), (200, 1500, 1500)]
)
def test_however_much_goes_to_however_many_the_loop_is_not_held_for_long(
    rows: int, clients: int, filters: int
) -> None:
    clock, stream, _, counts = flushing(0)
    followers = [Costly(clock, 0) for _ in range(clients)]
    for number, each in enumerate(followers):
        wanted = Filter.of(HOTSPOTS, {"entity": frozenset({"SUP-1", str(number % filters)})})
        stream.join(Format.ROWS, wanted, each).keep(each, each.write, None)
    stream.publish([change(number, entity="SUP-1", text="x" * 350) for number in range(rows)])
    while clock.calls:
        began = clock.now + clock.calls[0][0]
        clock.run()
        assert clock.now - began < HOLD_SECONDS + 0.01
    assert {b"".join(each.written) for each in followers} == {b"".join(followers[0].written)}
    assert counts.deliveries["rows"] == rows * (clients + 1)


def test_latency_is_observed_once_for_each_flush_with_changes() -> None:
    clock, stream, _, counts = flushing(0)
    stream.publish([change(number) for number in range(5)])
    clock.run()
    assert dict(counts.to_socket.buckets())["+Inf"] == 1


class Hungry:
    """Wants a number of turns, each of which takes time."""

    def __init__(
        self, clock: Clock, turns: int, order: list["Hungry"], seconds: float = COSTLY_SECONDS / 2
    ) -> None:
        self.clock, self.turns, self.order, self.seconds = clock, turns, order, seconds
        self.queued = False

    def step(self) -> bool:
        self.clock.now += self.seconds
        self.turns -= 1
        self.order.append(self)
        return self.turns > 0


def test_those_who_have_much_to_get_take_turns() -> None:
    clock, order = Clock(), list[Hungry]()
    pacer = Pacer(schedule=clock.later, now=lambda: clock.now, seconds=COSTLY_SECONDS * 1.2)
    one, two = Hungry(clock, 4, order), Hungry(clock, 2, order)
    pacer.add(one)
    pacer.add(two)
    pacer.add(one)
    clock.run()
    assert order == [one, two, one]  # a slice
    assert [seconds for seconds, _ in clock.calls] == [0]
    while clock.calls:
        clock.run()
    assert order == [one, two, one, two, one, one]


@pytest.mark.parametrize("times", [1.01, 5.0, 1000.0])
def test_after_a_costly_turn_everybody_else_has_as_long(times: float) -> None:
    clock, order = Clock(), list[Hungry]()
    pacer = Pacer(schedule=clock.later, now=lambda: clock.now, seconds=1.0)
    cheap = Hungry(clock, 2, order)
    costly = Hungry(clock, 2, order, seconds=times * COSTLY_SECONDS)
    for each in (cheap, costly):
        pacer.add(each)
    clock.run()
    assert order == [cheap, costly]
    pauses = [seconds for seconds, _ in clock.calls]
    assert pauses == pytest.approx([min(costly.seconds, LONGEST_PAUSE_SECONDS)])
    pacer.add(Hungry(clock, 1, order))  # does not shorten the pause
    assert len(clock.calls) == 1
    while clock.calls:
        clock.run()
    assert len(order) == 5


@given(st.lists(st.floats(0, 25), min_size=1, max_size=50), st.floats(0.01, 1))
def test_everybody_on_the_wheel_comes_due_once_and_soon_after_its_time(
    times: list[float], step: float
) -> None:
    wheel = TimingWheel[int](25, 0)
    for number, seconds in enumerate(times):
        wheel.put(number, seconds)
    now, came = 0.0, dict[int, float]()
    while now < 27:
        now += step
        for number in wheel.due(now):
            assert number not in came
            came[number] = now
    assert came.keys() == set(range(len(times)))
    for number, seconds in enumerate(times):
        assert seconds - 1e-6 <= came[number] <= seconds + 3 * SLOT_SECONDS + step


def test_who_was_taken_off_the_wheel_does_not_come_due() -> None:
    wheel = TimingWheel[str](25, 0)
    slot = wheel.put("a", 1)
    wheel.put("b", 1)
    slot.discard("a")
    assert list(wheel.due(1)) + list(wheel.due(2)) == ["b"]


def test_a_process_that_stood_still_goes_on_where_it_was() -> None:
    wheel = TimingWheel[str](25, 0)
    wheel.put("a", 20)
    assert list(wheel.due(600)) == []
    assert list(wheel.due(601)) == []
