"""A relay as tutorials write it: FastAPI, a list of connections, and a loop that awaits each send.

`uvicorn bench.peers.naive:create_app --factory`; FEED_PORT is where its rows come from.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from bench.peers import feed


def create_app() -> FastAPI:
    """The application; it listens to its feed as long as it lives."""
    connections: list[WebSocket] = []

    async def broadcast(row: str) -> None:
        for websocket in connections.copy():
            with suppress(RuntimeError, WebSocketDisconnect):
                await websocket.send_text(row)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with await feed.serve(int(os.environ["FEED_PORT"]), broadcast):
            yield

    app = FastAPI(lifespan=lifespan)

    @app.websocket("/ws")
    async def follow(websocket: WebSocket) -> None:
        await websocket.accept()
        connections.append(websocket)
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect:
            connections.remove(websocket)

    return app
