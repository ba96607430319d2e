"""The websockets library with its own `broadcast`: `python -m bench.peers.websockets_broadcast
PORT FEED_PORT`."""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, broadcast, serve

from bench.peers import feed

BACKLOG = 1024  # the default of 100 makes many wait for a second


async def main(port: int, feed_port: int) -> None:
    """Serve until the process is ended."""
    connections: set[ServerConnection] = set()

    async def follow(connection: ServerConnection) -> None:
        connections.add(connection)
        try:
            await connection.wait_closed()
        finally:
            connections.discard(connection)

    async def take(row: str) -> None:
        broadcast(connections, row)

    async with (
        serve(follow, "127.0.0.1", port, backlog=BACKLOG) as server,
        await feed.serve(feed_port, take),
    ):
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
