"""Connections that come all at once."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import uvloop

from relay import server
from relay.access.limits import SPARE_SOCKETS, SocketLimiter
from relay.server import Acceptor

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    def run(test: Coroutine[Any, Any, None]) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(test)

    return run


class Greeter(asyncio.Protocol):
    """Says hello and goes, unless it `stays` until the client goes."""

    def __init__(self, *, stays: bool = False) -> None:
        self._stays = stays
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(b"hello")  # uvloop's has no such base
        if not self._stays:
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)


@asynccontextmanager
async def accepting_on(
    listener: socket.socket, most: int = 1000, *, stays: bool = False
) -> AsyncIterator[Acceptor]:
    """Greets until the end of the block, and waits for all who were greeted to be gone and
    forgotten."""
    greeters: list[Greeter] = []

    def greeter() -> Greeter:
        greeters.append(Greeter(stays=stays))
        return greeters[-1]

    socket_limiter = SocketLimiter(most, lambda address: False)
    acceptor = Acceptor(listener, greeter, socket_limiter)
    try:
        yield acceptor
    finally:
        acceptor.close()
        await acceptor.wait_closed()
        async with asyncio.timeout(60):
            await asyncio.gather(*(each.lost for each in greeters))
            while socket_limiter._by_address:  # noqa: ASYNC110 no event tells
                await asyncio.sleep(0)


def test_many_are_accepted_within_a_few_turns_of_the_loop(run: Run) -> None:
    async def test() -> None:
        greeted = 0
        with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
            address = listener.getsockname()
            clients = [socket.create_connection(address) for _ in range(server.MOST_AT_ONCE)]
            async with accepting_on(listener):
                for _ in range(10):
                    await asyncio.sleep(0)
                for client in clients:
                    client.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        greeted += client.recv(5) == b"hello"
                    client.close()
        assert greeted > 100

    run(test())


def test_the_others_wait_while_too_many_are_being_opened(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_OPENING", 2)

    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
            address = listener.getsockname()
            clients = [socket.create_connection(address) for _ in range(20)]
            loop = asyncio.get_running_loop()
            async with accepting_on(listener), asyncio.timeout(60):
                for client in clients:
                    client.setblocking(False)
                    assert await loop.sock_recv(client, 5) == b"hello"
                    client.close()

    run(test())


def test_nobody_is_accepted_after_the_end(run: Run) -> None:
    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with accepting_on(listener) as acceptor:
                acceptor.close()
                with socket.create_connection(listener.getsockname()) as client:
                    await asyncio.sleep(0)
                    client.setblocking(False)
                    with pytest.raises(BlockingIOError):
                        client.recv(1)

    run(test())


def test_one_address_has_so_many_sockets_and_those_that_left_do_not_count(run: Run) -> None:
    async def test() -> None:
        most = 2 + SPARE_SOCKETS
        with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
            loop, address = asyncio.get_running_loop(), listener.getsockname()
            async with accepting_on(listener, most=2, stays=True), asyncio.timeout(60):
                clients = [socket.create_connection(address) for _ in range(most + 20)]
                greeted = [await said(loop, client) for client in clients]
                assert greeted == [b"hello"] * most + [b""] * 20
                for client in clients:
                    client.close()
                while not await said(loop, client := socket.create_connection(address)):
                    client.close()
                client.close()

    run(test())


async def said(loop: asyncio.AbstractEventLoop, client: socket.socket) -> bytes:
    """What the server said, nothing if it did not accept the client."""
    client.setblocking(False)
    try:
        return await loop.sock_recv(client, 5)
    except ConnectionResetError:
        return b""
