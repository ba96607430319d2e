"""Serves the relay, or parts of it, on a free port of this machine."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI

from emulator.running import Emulator
from relay.app import create_app
from relay.commands.behalf import Behalf
from relay.commands.routes import router
from relay.origins import allowing
from relay.settings import Settings


@asynccontextmanager
async def serving(app: FastAPI, port: int = 0) -> AsyncIterator[str]:
    """Its address, `127.0.0.1:port`, until the block ends."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
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
    settings = Settings.from_env(
        {
            "SUPABASE_URL": emulator.url,
            "SUPABASE_SECRET_KEY": emulator.keys.secret,
            "SUPABASE_PUBLISHABLE_KEY": emulator.keys.publishable,
            "RELAY_LOCAL_TOKEN": emulator.keys.mint("authenticated", subject="somebody"),
        }
    )
    failures: list[str] = []
    async with serving(create_app(settings, on_failure=failures.append), port) as host:
        yield host
    assert not failures


@asynccontextmanager
async def commands(behalf: Behalf, local_token: str | None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the commands and lists alone; pages of app.example are allowed."""
    app = FastAPI()
    allows = allowing(["https://app.example"])
    app.include_router(router(behalf, local_token=local_token, allows=allows))
    async with serving(app) as host, httpx.AsyncClient(base_url=f"http://{host}") as client:
        yield client
