"""What stands in for Supabase: `python -m bench.upstream`, one process.

It speaks Realtime and REST to relays, and publishes rows when it is told to: `POST /publish` with
`rows`, `per_second` (0: all at once, as one transaction) and `per_message`, answered when they
have been sent; `GET /counts` says what it was asked so far. Prints its port.
"""

from __future__ import annotations

import argparse
import socket
import time

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from bench.pace import due
from bench.upstream.auth import Auth
from bench.upstream.history import History
from bench.upstream.realtime import Realtime
from bench.upstream.rest import Rest


def create_app() -> Starlette:
    """The application with an empty history."""
    history, realtime = History(), Realtime()
    rest = Rest(history, realtime)

    async def publish(request: Request) -> Response:
        wanted = await request.json()
        first = len(history.rows)
        async for count in due(wanted["rows"], wanted["per_second"]):
            # Paced rows come one to a commit, as they do when somebody writes now and then.
            together = count if not wanted["per_second"] else 1
            for _ in range(0, count, together):
                rows = history.commit(together, time.monotonic_ns(), time.time())
                await realtime.rows(rows, wanted["per_message"])
        return JSONResponse({"first": first, "last": len(history.rows) - 1})

    async def counts(request: Request) -> Response:
        return JSONResponse({"rest": rest.asked, "lanes": realtime.lanes})

    return Starlette(
        routes=[
            WebSocketRoute("/realtime/v1/websocket", realtime.serve),
            *rest.routes(),
            *Auth().routes(),
            Route("/publish", publish, methods=["POST"]),
            Route("/counts", counts),
        ]
    )


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description="Stands in for Supabase in the benchmark.")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (a free one)")
    options = parser.parse_args()
    with socket.create_server(("127.0.0.1", options.port)) as listener:
        config = uvicorn.Config(
            create_app(),
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            ws_ping_interval=None,
            log_level="warning",
            timeout_graceful_shutdown=1,
        )
        print(f"upstream on {listener.getsockname()[1]}", flush=True)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
