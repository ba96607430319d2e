"""Serves an ASGI application on a free port of this machine."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI

from relay.behalf import Behalf
from relay.commands import router
from relay.origins import allowing


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """Its address, `127.0.0.1:port`, until the block ends."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        served = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await served


@asynccontextmanager
async def commands(behalf: Behalf, local_token: str | None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the commands and lists alone; pages of app.example are allowed."""
    app = FastAPI()
    allows = allowing(["https://app.example"])
    app.include_router(router(behalf, local_token=local_token, allows=allows))
    async with serving(app) as host, httpx.AsyncClient(base_url=f"http://{host}") as client:
        yield client
