"""A connection to an endpoint of a running relay, as the terminal tools need it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from relay.changes.frames import TOKEN_REQUIRED
from relay.close import CloseCode
from relay.errors import RelayError
from relay.terminal.wording import ending

GREETING_SECONDS = 10
MAX_FRAME_BYTES = 4 * 1024 * 1024

TOKEN_CODES = (CloseCode.UNAUTHORIZED, CloseCode.TOKEN_EXPIRED)
TOKEN_REMEDY = "set RELAY_TOKEN to the access token of a user of the project"  # noqa: S105 a text

Frame = Mapping[str, Any]


def default_url(env: Mapping[str, str], scheme: str = "ws") -> str:
    """The address of a relay that was started on this machine with the same environment."""
    secure = "s" if env.get("RELAY_TLS_CERT") else ""
    host = env.get("HOST", "").strip()
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 all addresses of this machine
        host = "127.0.0.1"
    port = env.get("PORT", "").strip()
    return f"{scheme}{secure}://{f'[{host}]' if ':' in host else host}:{port or '8003'}"


class Lost(RelayError):
    """The connection could not be made, or it ended; the text says why."""


class Following:
    """An open connection that was greeted by the relay."""

    def __init__(self, socket: ClientConnection, address: str) -> None:
        self._socket = socket
        self._address = address

    async def next_text(self) -> str:
        """The next frame as it was sent.

        Raises:
            Lost: the connection ended.
        """
        try:
            text = await self._socket.recv(decode=True)
        except ConnectionClosed as error:
            code = error.rcvd.code if error.rcvd else 1006
            reason = error.rcvd.reason if error.rcvd else "the connection broke off"
            remedy = f"; {TOKEN_REMEDY}" if code in TOKEN_CODES else ""
            raise Lost(f"{self._address} {ending(code, reason)}{remedy}") from error
        if text == TOKEN_REQUIRED:
            raise Lost(f"{self._address} asks for a user's token; {TOKEN_REMEDY}")
        return text

    async def next_frame(self) -> Frame:
        """The next frame.

        Raises:
            Lost: the connection ended, or what came is no frame of relay.v1.
        """
        text = await self.next_text()
        try:
            frame = json.loads(text)
        except ValueError as error:
            raise Lost(f"{self._address} sent a frame that is not JSON: {text[:80]!r}") from error
        if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
            raise Lost(f"{self._address} sent a frame without a type: {text[:80]!r}")
        return frame


@asynccontextmanager
async def follow(
    url: str, endpoint: str, parameters: Sequence[tuple[str, str]], token: str | None = None
) -> AsyncIterator[Following]:
    """A connection to `endpoint` of the relay at `url`, in the format relay.v1; `token` is a
    user's.

    Raises:
        Lost: the relay cannot be reached, or answers otherwise than a relay.
    """
    address = _address(url, endpoint)
    query = f"?{urlencode(parameters)}" if parameters else ""
    socket = await _open(address, query, token)
    try:
        yield Following(socket, address)
    finally:
        await socket.close()


async def _open(address: str, query: str, token: str | None) -> ClientConnection:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        socket = await connect(
            address + query,
            subprotocols=[Subprotocol("relay.v1")],
            additional_headers=headers,
            open_timeout=GREETING_SECONDS,
            proxy=None,
            max_size=MAX_FRAME_BYTES,
        )
    except InvalidURI as error:
        raise Lost(f"{address} is no WebSocket address") from error
    except InvalidStatus as error:
        status = error.response.status_code
        raise Lost(f"{address} answers HTTP {status} instead of a WebSocket") from error
    except (InvalidHandshake, EOFError) as error:
        raise Lost(f"{address} does not answer like a WebSocket server: {error}") from error
    except TimeoutError as error:
        raise Lost(f"{address} does not answer within {GREETING_SECONDS} s") from error
    except OSError as error:
        remedy = "is the relay running? Start it with `python -m relay`"
        raise Lost(f"{address} cannot be reached ({error.strerror or error}): {remedy}") from error
    if socket.subprotocol != "relay.v1":
        await socket.close()
        raise Lost(f"{address} does not speak relay.v1")
    return socket


async def greeting(following: Following) -> Frame:
    """The relay's hello.

    Raises:
        Lost: something else came, or nothing in time.
    """
    try:
        async with asyncio.timeout(GREETING_SECONDS):
            frame = await following.next_frame()
    except TimeoutError as error:
        raise Lost(f"no greeting within {GREETING_SECONDS} s") from error
    if frame["type"] != "hello":
        raise Lost(f"greeted with {frame['type']!r} instead of hello")
    return frame


def _address(url: str, endpoint: str) -> str:
    base = url.rstrip("/")
    if base.startswith("http"):
        base = "ws" + base.removeprefix("http")
    return f"{base}/ws/{endpoint}"
