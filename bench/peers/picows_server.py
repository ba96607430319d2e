"""picows on uvloop, which is how it is fastest: `python -m bench.peers.picows_server PORT
FEED_PORT`."""

from __future__ import annotations

import sys

import uvloop
from picows import WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from bench.peers import feed

BACKLOG = 1024  # the default of 100 makes many wait for a second


class Follower(WSListener):
    """Belongs to the set of transports as long as it is connected."""

    def __init__(self, transports: set[WSTransport]) -> None:
        super().__init__()
        self._transports = transports

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._transports.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection ended."""
        self._transports.discard(transport)


async def main(port: int, feed_port: int) -> None:
    """Serve until the process is ended."""
    transports: set[WSTransport] = set()

    async def take(row: str) -> None:
        payload = row.encode()
        for transport in transports:
            transport.send(WSMsgType.TEXT, payload)

    def follower(_: WSUpgradeRequest) -> WSListener:
        return Follower(transports)

    server = await ws_create_server(follower, "127.0.0.1", port, backlog=BACKLOG)
    async with server, await feed.serve(feed_port, take):
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
