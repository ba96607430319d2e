"""Whether uvicorn hands connections over in the way that the relay's own class relies on.

Nobody promises that way; it was read in one version. So it is tried at start, with a transport that
goes nowhere.
"""

import asyncio
from typing import Any, Final, cast

from uvicorn import Config, __version__
from uvicorn.server import ServerState

KNOWN: Final = "0.54"
_HEAD: Final = b"GET /a?b HTTP/1.1\r\nhost: c\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"


class _Probe(asyncio.Protocol):
    """Notes what the relay's class would be given."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.steps: list[object] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.steps.append(transport)

    def data_received(self, data: bytes) -> None:
        self.steps.append(data)


class _Nowhere(asyncio.Transport):
    """Notes whose it is in the end."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.protocol: asyncio.BaseProtocol | None = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol


def trouble() -> str | None:
    """What is not as expected, naming the version that is known to be; None if all is."""
    try:
        found = _hand_over()
    except (AttributeError, TypeError, ValueError) as error:
        found = f"it ends with {error!r}"
    if found is None:
        return None
    return f"uvicorn {__version__} hands connections over in another way than {KNOWN}: {found}"


def _hand_over() -> str | None:
    probes: list[_Probe] = []

    def make(**given: Any) -> _Probe:
        probes.append(_Probe(given))
        return probes[-1]

    config = Config(_application, ws=cast(Any, make), lifespan="off", log_config=None)
    config.load()
    state, transport, loop = ServerState(), _Nowhere(), asyncio.new_event_loop()
    try:
        http = cast(Any, config.http_protocol_class)(
            config=config, server_state=state, app_state={}, _loop=loop
        )
        http.connection_made(transport)
        http.data_received(_HEAD)
    finally:
        loop.close()
    if len(probes) != 1 or transport.protocol is not probes[0]:
        return "the upgraded connection is not given to the class"
    given = {"config": config, "server_state": state, "app_state": {}}
    if probes[0].given != given or probes[0].steps != [transport, _HEAD]:
        return "the class is given something else"
    return None if state.connections == set() else "the connection stays in its list"


async def _application(scope: object, receive: object, send: object) -> None:
    """Is never called."""
