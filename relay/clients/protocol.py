"""uvicorn's WebSocket protocol, plus the one thing that ASGI lacks: cutting a connection off.

A client that reads nothing keeps a closing connection, and megabytes in the kernel, for as long
as it likes: only an abort with a reset ends that.
"""

import socket
import struct
from typing import Any, Final, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

CUT_OFF: Final = "relay.cut_off"
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class CuttableProtocol(WebSocketsSansIOProtocol):
    """Offers `cut_off()` to the application as an extension of the scope."""

    def handle_connect(self, event: Request) -> None:
        """Accepts or refuses the handshake."""
        super().handle_connect(event)
        if not self.handshake_complete:  # it is complete already when it was refused
            extensions = cast(dict[str, Any], self.scope["extensions"])
            extensions[CUT_OFF] = self.cut_off

    def cut_off(self) -> None:
        """Ends the connection with a reset, whatever is still to be sent; does no harm later."""
        if self.disconnected:
            return
        raw = self.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()
