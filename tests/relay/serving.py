"""Serves the relay, or parts of it, on a free port of this machine."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI

from emulator.running import Emulator
from relay.access.origins import allowing
from relay.api.routes import router
from relay.api.user_client import UserClient
from tests.relay.clients import relay_of


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """Its address, `127.0.0.1:port`, until the block ends."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(
            app, ws="websockets-sansio", log_config=None, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        served = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await served


@asynccontextmanager
async def relaying(emulator: Emulator, port: int = 0) -> AsyncIterator[str]:
    """The address of a whole relay that follows the emulator; none of its parts may die."""
    token = emulator.keys.mint("authenticated", subject="somebody")
    async with relay_of(emulator, PORT=str(port), RELAY_LOCAL_TOKEN=token) as relay:
        yield relay.host


@asynccontextmanager
async def commands(behalf: UserClient, local_token: str | None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the commands and lists alone; pages of app.example are allowed."""
    app = FastAPI()
    allows = allowing(["https://app.example", "http://localhost:*"])
    app.include_router(router(behalf, local_token=local_token, allows=allows))
    async with (
        serving(app) as host,
        httpx.AsyncClient(base_url=f"http://{host}", timeout=60) as client,
    ):
        yield client
