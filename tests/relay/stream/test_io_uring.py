"""Sending to many sockets by one system call, on the machine's own kernel."""

import contextlib
import os
import random
import socket
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from relay.stream import io_uring
from relay.stream.change import HOTSPOTS
from relay.stream.encoding import Format
from relay.stream.fan_out import FEWEST_BATCHED, CaughtUpSubscribers, Departure
from relay.stream.filters import Filter
from relay.stream.hub import Group, Stream
from tests.relay.rows import change

ROW = b'{"id":1,"severity":"critical"}' * 12


@pytest.fixture
def ring() -> Iterator[io_uring.Ring]:
    try:
        ring = io_uring.opened()
    except io_uring.Unusable as exc:
        pytest.skip(f"no io_uring: {exc}")
    yield ring
    if not ring.closed:
        ring.close()


@contextlib.contextmanager
def pairs(count: int) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Connected sockets that do not wait: the relay's end and the client's."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            ours, theirs = socket.socketpair()
            for end in (ours, theirs):
                stack.enter_context(end)
                end.setblocking(False)
            found.append((ours, theirs))
        yield found


def read(end: socket.socket) -> bytes:
    """Everything that is there."""
    found = b""
    with contextlib.suppress(BlockingIOError):
        while piece := end.recv(1 << 20):
            found += piece
    return found


def test_more_sockets_than_the_queue_has_places_get_the_same_again_and_again(
    ring: io_uring.Ring,
) -> None:
    batch = io_uring.SocketBatch(ring)
    with pairs(ring.entries * 2 + 3) as ends:
        for ours, _ in ends:
            batch.append(ours.fileno())
        for number in range(5):
            assert batch.send(b"%d" % number + ROW) == []
        expected = b"".join(b"%d" % number + ROW for number in range(5))
        assert all(read(theirs) == expected for _, theirs in ends)


def test_what_a_full_socket_does_not_take_is_told(ring: io_uring.Ring) -> None:
    batch = io_uring.SocketBatch(ring)
    with pairs(3) as ends:
        for ours, _ in ends:
            batch.append(ours.fileno())
        full, full_end = ends[1]
        full.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        data = os.urandom(100_000)
        ((place, taken),) = batch.send(data)
        assert place == 1
        assert 0 < taken < len(data)
        assert batch.send(b"more") == [(1, 0)]
        assert read(full_end) == data[:taken]
        assert read(ends[0][1]) == read(ends[2][1]) == data + b"more"


def test_who_is_gone_has_taken_nothing_and_the_last_one_has_its_place(ring: io_uring.Ring) -> None:
    batch = io_uring.SocketBatch(ring)
    with pairs(3) as ends:
        for ours, _ in ends:
            batch.append(ours.fileno())
        ends[0][1].close()
        assert batch.send(b"one") == [(0, 0)]
        batch.swap(0, 2)
        batch.pop()
        ends[2][1].close()
        assert batch.send(b"two") == [(0, 0)]
        assert read(ends[1][1]) == b"onetwo"


def test_a_closed_ring_sends_nothing_and_says_so() -> None:
    try:
        ring = io_uring.opened()
    except io_uring.Unusable as exc:
        pytest.skip(f"no io_uring: {exc}")
    batch = io_uring.SocketBatch(ring)
    ring.close()
    with pairs(2) as ends:
        for ours, _ in ends:
            batch.append(ours.fileno())
        assert batch.send(b"one") == [(0, 0), (1, 0)]


def test_rings_give_back_what_they_take(ring: io_uring.Ring) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        io_uring.opened().close()
    assert len(os.listdir("/proc/self/fd")) == before


class Client:
    """One end of a pair and what it should have got; takes by itself what its socket did not."""

    def __init__(self, ours: socket.socket, theirs: socket.socket) -> None:
        self.ours, self.theirs = ours, theirs
        self.owed = b""
        self.got = b""
        self.rest = b""

    def write(self, data: bytes) -> None:
        self.rest += data
        with contextlib.suppress(BlockingIOError):
            while self.rest:
                self.rest = self.rest[self.ours.send(self.rest) :]


@pytest.mark.parametrize("seed", range(5))
def test_each_member_of_a_crowd_gets_exactly_what_is_sent_while_it_is_one(
    ring: io_uring.Ring, seed: int
) -> None:
    chance = random.Random(seed)
    crowd = CaughtUpSubscribers[Client](lambda: io_uring.SocketBatch(ring))
    with pairs(4 * FEWEST_BATCHED) as ends:
        clients = [Client(*each) for each in ends]
        for client in clients[::3]:
            client.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for number in range(300):
            data = b"%d:" % number + bytes(chance.randrange(20_000))
            come_or_go(crowd, chance.choice(clients), b"", chance)
            while not crowd.all_served:
                crowd.send(data, chance.randrange(1, 20))
                for each in [each for each in crowd if each.rest]:  # its socket is full
                    assert crowd.discard(each)
                    each.owed += data
                come_or_go(crowd, chance.choice(clients), data, chance)
            crowd.end()
            for each in crowd:
                each.owed += data
            for each in chance.sample(clients, len(clients) // 2):
                each.got += read(each.theirs)
                each.write(b"")
        for client in clients:
            while client.rest:
                client.got += read(client.theirs)
                client.write(b"")
            assert client.got + read(client.theirs) == client.owed


def come_or_go(
    crowd: CaughtUpSubscribers[Client], client: Client, data: bytes, chance: random.Random
) -> None:
    """While the data is being sent."""
    if client in crowd:
        if crowd.discard(client):
            client.owed += data
    elif not client.rest:
        crowd.add(client, client.write, chance.choice([None, client.ours.fileno()]))


class Follower(Client):
    """A member of a group of its own, who notes where it fell behind."""

    def __init__(self, group: Callable[["Follower"], Group], ours: socket.socket) -> None:
        super().__init__(ours, ours)
        self.left: Departure | None = None
        self.group = group(self)

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.rest:
            self.group.fall_behind(self)

    def fell_behind(self, left: Departure) -> None:
        self.left = left

    def flushed(self) -> None:
        raise AssertionError("nobody waits")

    def start_anew(self) -> None:
        raise AssertionError("there is one history")


def test_small_groups_are_sent_to_together_and_who_takes_less_falls_behind(
    ring: io_uring.Ring,
) -> None:
    stream = Stream(HOTSPOTS, batch=lambda: io_uring.SocketBatch(ring))
    with pairs(5 * FEWEST_BATCHED) as ends:
        followers = []
        for number, (ours, _) in enumerate(ends):
            wanted = Filter.of(HOTSPOTS, {"entity": frozenset({"SUP-1", f"own-{number // 2}"})})
            join = partial(stream.join, Format.ROWS, wanted)
            followers.append(Follower(join, ours))
            followers[-1].group.keep(followers[-1], followers[-1].write, ours.fileno())
        slow = followers[::7]
        for each in slow:
            each.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        stream.publish([change(number, text="x" * 10_000) for number in range(5)])
        clients = 0
        while (step := stream.send(600_000, 10_000)) is not None:
            assert step.clients <= FEWEST_BATCHED + 2
            clients += step.clients
        assert clients == len(followers)
        assert [each.left is None for each in followers] == [each not in slow for each in followers]
        for follower, (_, theirs) in zip(followers, ends, strict=True):
            piece, end = follower.group.read(0, stream.log.head, 1 << 20)
            assert end == stream.log.head
            if follower.left is not None:
                assert follower.left == (stream.log.head, 5)
            got = read(theirs)
            while follower.rest:
                follower.write(b"")
                got += read(theirs)
            assert got == piece.data
        assert not stream.waiting
