"""Connections that come all at once."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import uvloop

from relay import accepting
from relay.accepting import Acceptor

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    def run(test: Coroutine[Any, Any, None]) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(test)

    return run


class Greeter(asyncio.Protocol):
    """Says hello and goes."""

    def __init__(self) -> None:
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(b"hello")  # uvloop's has no such base
        transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)


@asynccontextmanager
async def accepting_on(listener: socket.socket) -> AsyncIterator[Acceptor]:
    """Greets until the end of the block, and waits for all who were greeted to be gone."""
    greeters: list[Greeter] = []

    def greeter() -> Greeter:
        greeters.append(Greeter())
        return greeters[-1]

    acceptor = Acceptor(listener, greeter)
    try:
        yield acceptor
    finally:
        acceptor.close()
        await acceptor.wait_closed()
        async with asyncio.timeout(10):
            await asyncio.gather(*(each.lost for each in greeters))


def test_many_are_accepted_within_a_few_turns_of_the_loop(run: Run) -> None:
    async def test() -> None:
        greeted = 0
        with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
            address = listener.getsockname()
            clients = [socket.create_connection(address) for _ in range(accepting.MOST_AT_ONCE)]
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
    monkeypatch.setattr(accepting, "MOST_OPENING", 2)

    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
            address = listener.getsockname()
            clients = [socket.create_connection(address) for _ in range(20)]
            loop = asyncio.get_running_loop()
            async with accepting_on(listener), asyncio.timeout(10):
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
