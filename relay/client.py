"""Client for Python: follows an endpoint of a running relay over `relay.v1`, and resumes.

    async for frame in follow("wss://relay.example.org", "hotspots", token=token):
        print(frame["type"], frame.get("record"))

`follow` reconnects with jitter and goes on from the last cursor, so that no change is missed.
`connect` is one connection without that. `Replica` holds the rows of an endpoint by the rules of
the protocol: newest version wins, deletions included.
"""

import asyncio
import contextlib
import json
import random
import ssl
import unicodedata
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

import websockets.asyncio.client
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from relay.close_codes import CloseCode
from relay.errors import RelayError

PROTOCOL: Final = "relay.v1"
GREETING_SECONDS: Final = 10
MAX_FRAME_BYTES: Final = 4 * 1024 * 1024
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
TOKEN_CODES: Final = (CloseCode.UNAUTHORIZED, CloseCode.TOKEN_EXPIRED)
TOKEN_REMEDY: Final = "set RELAY_TOKEN to the access token of a user of the project"  # noqa: S105 a text

PROBE_SECONDS: Final = 5.0
# The scheme with TLS where it is without, and the other way round.
_OTHER: Final = {"ws": "wss", "wss": "ws", "http": "https", "https": "http"}
START: Final = "is the relay running? Start it with `python -m relay`, or name another one by --url"

_HARMFUL_CATEGORIES: Final = ("Cc", "Zl", "Zp", "Cs", "Cn")
_DIRECTION_CONTROLS: Final = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")

Frame = Mapping[str, Any]
Parameters = Sequence[tuple[str, str]]
Token = str | Callable[[], Awaitable[str]] | None
"""A user's access token, or what fetches a fresh one before each connection."""


class ConnectionLost(RelayError):
    """The connection could not be made, or it ended; the text says why.

    Attributes:
        retry: Whether the same request may succeed later.
        code: The close code; None when there was no connection.
    """

    def __init__(self, text: str, *, retry: bool = False, code: int | None = None) -> None:
        super().__init__(text)
        self.retry: Final = retry
        self.code: Final = code


class Connection:
    """An open connection to one endpoint."""

    def __init__(self, socket: ClientConnection, address: str) -> None:
        self._socket = socket
        self._address = address

    async def receive(self) -> Frame:
        """Return the next frame.

        Raises:
            ConnectionLost: The connection ended, needs a token, or sent no frame of relay.v1.
        """
        try:
            text = await self._socket.recv(decode=True)
        except ConnectionClosed as exc:
            code = exc.rcvd.code if exc.rcvd else 1006
            reason = exc.rcvd.reason if exc.rcvd else "the connection broke off"
            remedy = f"; {TOKEN_REMEDY}" if code in TOKEN_CODES else ""
            problem = f"{self._address} {ending(code, reason)}{remedy}"
            raise ConnectionLost(problem, retry=_may_come_back(code), code=code) from exc
        try:
            frame = json.loads(text)
        except ValueError as exc:
            problem = f"{self._address} sent a frame that is not JSON: {text[:80]!r}"
            raise ConnectionLost(problem) from exc
        if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
            raise ConnectionLost(f"{self._address} sent a frame without a type: {text[:80]!r}")
        if frame["type"] == "token_required":
            raise ConnectionLost(f"{self._address} asks for a user's token; {TOKEN_REMEDY}")
        return frame

    async def greeting(self) -> Frame:
        """Return the relay's hello, which is the first frame.

        Raises:
            ConnectionLost: Something else came, or nothing in time.
        """
        try:
            async with asyncio.timeout(GREETING_SECONDS):
                frame = await self.receive()
        except TimeoutError as exc:
            raise ConnectionLost(f"no greeting within {GREETING_SECONDS} s", retry=True) from exc
        if frame["type"] != "hello":
            raise ConnectionLost(f"greeted with {frame['type']!r} instead of hello")
        return frame


@dataclass
class Replica:
    """The rows of an endpoint as a client holds them, and the cursor to resume from.

    Attributes:
        rows: The newest record by id.
        versions: The newest version by id, also of rows that were deleted or left the filter.
        cursor: What a new connection has to present; None before the first `synced`.
    """

    rows: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)
    cursor: str | None = None

    def apply(self, frame: Frame) -> bool:
        """Take in one frame; true when it changed a row."""
        match frame["type"]:
            case "hello" if not frame["resumed"]:
                self._discard()
            case "reset":
                self._discard()
            case "synced" | "cursor":
                self.cursor = frame["cursor"]
            case "INSERT" | "UPDATE" | "DELETE" | "LEAVE":
                return self._change(frame)
        return False

    def _discard(self) -> None:
        self.rows.clear()
        self.versions.clear()
        self.cursor = None

    def _change(self, frame: Frame) -> bool:
        row_id = frame_id(frame)
        if frame["version"] <= self.versions.get(row_id, 0):
            return False
        self.versions[row_id] = frame["version"]
        if frame["type"] in ("INSERT", "UPDATE"):
            self.rows[row_id] = frame["record"]
        else:
            self.rows.pop(row_id, None)
        return True


def frame_id(frame: Frame) -> int:
    """Return the id of the row that an INSERT, UPDATE, DELETE or LEAVE is about."""
    row = frame if frame["type"] == "LEAVE" else frame["record"] or frame["old_record"]
    found: int = row["id"]
    return found


def connect(
    url: str, endpoint: str, parameters: Parameters = (), token: str | None = None
) -> AbstractAsyncContextManager[Connection]:
    """Open one connection in the format relay.v1.

    Args:
        url: Address of the relay: ws, wss, http or https.
        endpoint: hotspots, alerts or recommendations.
        parameters: Query parameters: `last`, `cursor`, filters.
        token: A user's access token.

    Raises:
        ConnectionLost: The relay cannot be reached, or answers otherwise than a relay.
    """
    query = f"?{urlencode(parameters)}" if parameters else ""
    return _Opening(_address(url, endpoint), query, token)


class _Opening:
    """A connection for the length of an `async with`.

    A class, since asyncio.run() closes the generators that a program has left all at once, and two
    of them, one within the other, cannot be.
    """

    def __init__(self, address: str, query: str, token: str | None) -> None:
        self._address = address
        self._query = query
        self._token = token
        self._socket: ClientConnection | None = None

    async def __aenter__(self) -> Connection:
        self._socket = await _open(self._address, self._query, self._token)
        return Connection(self._socket, self._address)

    async def __aexit__(self, *error: object) -> None:
        if self._socket is not None:
            await self._socket.close()


async def follow(
    url: str,
    endpoint: str,
    parameters: Parameters = (),
    *,
    token: Token = None,
    replica: Replica | None = None,
    on_lost: Callable[[ConnectionLost], None] | None = None,
) -> AsyncGenerator[Frame, None]:
    """Yield the frames of an endpoint for ever, over as many connections as it takes.

    A `reset`, and a `hello` that is not `resumed`, mean: discard what you hold; all rows follow.

    Args:
        url: Address of the relay.
        endpoint: hotspots, alerts or recommendations.
        parameters: Filters and `last`, as of `connect`.
        token: A user's access token, or what fetches one.
        replica: Takes in each frame before it is yielded; one that already holds a cursor
            resumes from there.
        on_lost: Called before the pause that follows on a lost connection; what it raises ends all.

    Raises:
        ConnectionLost: The relay refused in a way that does not pass, such as a bad token.
    """
    held = Replica() if replica is None else replica
    failures = 0
    while True:
        try:
            bearer = await token() if callable(token) else token
            asked = [*parameters, *([("cursor", held.cursor)] if held.cursor else ())]
            async with connect(url, endpoint, asked, bearer) as connection:
                while True:
                    frame = await connection.receive()
                    held.apply(frame)
                    if frame["type"] == "synced":
                        failures = 0
                    yield frame
        except ConnectionLost as exc:
            same_token = exc.code == CloseCode.TOKEN_EXPIRED and not callable(token)
            if same_token or not exc.retry:
                raise
            if on_lost is not None:
                on_lost(exc)
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 10))
        failures += 1
        await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 jitter


def printable(text: str) -> str:
    """Return the text without what would change the terminal around it.

    Rows may carry controls, separators of lines and paragraphs, embeddings, overrides and isolates
    of the direction of text, surrogates, and code points that Unicode has not assigned. Spaces of
    all kinds and joiners belong to names and stay.
    """
    if text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _harms(letter) else letter for letter in text)


def _harms(letter: str) -> bool:
    if unicodedata.category(letter) in _HARMFUL_CATEGORIES:
        return True
    return unicodedata.bidirectional(letter) in _DIRECTION_CONTROLS


def ending(code: int, reason: str) -> str:
    """Say why a connection ended and whether coming back makes sense."""
    if code not in set(CloseCode):
        return printable(f"closed with {code} {reason}".strip())
    close = CloseCode(code)
    remedy = "come back later" if close.come_back else "do not come back unchanged"
    if close is CloseCode.TOKEN_EXPIRED:
        remedy = "come back with another one"
    text = f"closed with {code}: {close.meaning} ({remedy})"
    return printable(f"{text}: {reason}" if reason not in ("", close.meaning) else text)


def _may_come_back(code: int) -> bool:
    return CloseCode(code).come_back if code in set(CloseCode) else True


async def _open(address: str, query: str, token: str | None) -> ClientConnection:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        socket = await websockets.asyncio.client.connect(
            address + query,
            subprotocols=[Subprotocol(PROTOCOL)],
            additional_headers=headers,
            open_timeout=GREETING_SECONDS,
            proxy=None,
            max_size=MAX_FRAME_BYTES,
        )
    except InvalidStatus as exc:
        raise await _refused(address, exc) from exc
    except TimeoutError as exc:
        text = f"{address} does not answer within {GREETING_SECONDS} s"
        raise ConnectionLost(text, retry=True) from exc
    except (InvalidHandshake, EOFError, OSError) as exc:
        trouble = await explain(address, exc)
        raise ConnectionLost(f"{address} {trouble.text}", retry=trouble.passes) from exc
    except (InvalidURI, ValueError) as exc:  # a port that is no number; last, as some of TLS are
        raise ConnectionLost(f"{address} is no WebSocket address") from exc
    if socket.subprotocol != PROTOCOL:
        await socket.close()
        raise ConnectionLost(f"{address} does not speak {PROTOCOL}")
    return socket


async def _refused(address: str, error: InvalidStatus) -> ConnectionLost:
    if (hint := await tls_wanted(address)) is not None:
        return ConnectionLost(f"{address} {hint}")  # nginx answers 400 to who comes without
    status = error.response.status_code
    said = (error.response.body or b"").decode(errors="replace").strip()
    reason = f": {said.splitlines()[0][:200]}" if said and not said.startswith("<") else ""
    text = f"{address} answers HTTP {status} instead of a WebSocket{reason}"
    return ConnectionLost(text, retry=status == 429 or status >= 500)


def _address(url: str, endpoint: str) -> str:
    base = url.rstrip("/")
    if base.startswith("http"):
        base = "ws" + base.removeprefix("http")
    return f"{base}/ws/{endpoint}"


class Trouble(NamedTuple):
    """Why a connection failed: text that follows on the address, and whether it may pass."""

    text: str
    passes: bool


async def explain(url: str, error: BaseException) -> Trouble:
    """Explain why a connection to `url` ended in `error`, with the remedy.

    A server that said nothing is asked whether it wants TLS.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Trouble(f"cannot be reached: {_distrust(cause)}", passes=False)
        if isinstance(cause, ssl.SSLError):
            text = f"cannot be reached: no TLS there ({cause.reason}); use --url {_other(url)}"
            return Trouble(text, passes=False)
        if isinstance(cause, ConnectionRefusedError):
            return Trouble(f"cannot be reached (connection refused): {START}", passes=True)
    if (hint := await tls_wanted(url)) is not None:
        return Trouble(hint, passes=False)
    if any(isinstance(cause, OSError) for cause in _causes(error)):
        why = getattr(error, "strerror", None) or error
        return Trouble(f"cannot be reached ({why}): {START}", passes=True)
    return Trouble(f"does not answer like a relay: {error}", passes=True)


async def tls_wanted(url: str) -> str | None:
    """Return the hint for an address without TLS whose server wants TLS; None otherwise."""
    if not await _speaks_tls(url):
        return None
    return f"cannot be reached: it wants TLS; use --url {_other(url)}"


def _distrust(error: ssl.SSLCertVerificationError) -> str:
    text = f"its certificate is not trusted ({error.verify_message})"
    if "mismatch" in error.verify_message.lower():
        return f"{text}; name it by --url as the certificate does"
    if "expired" in error.verify_message:
        return f"{text}; it has to be renewed"
    return f"{text}; set SSL_CERT_FILE to a file with it, or with that of its authority"


async def _speaks_tls(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "http"):
        return False
    anything = ssl.create_default_context()
    anything.check_hostname = False
    anything.verify_mode = ssl.CERT_NONE  # nothing is sent: only whether it answers counts
    with contextlib.suppress(OSError, EOFError, TimeoutError, ValueError):
        async with asyncio.timeout(PROBE_SECONDS):
            _, writer = await asyncio.open_connection(
                parts.hostname, parts.port or 80, ssl=anything
            )
            writer.close()
            return True
    return False


def _other(url: str) -> str:
    parts = urlsplit(url)
    return f"{_OTHER[parts.scheme]}://{parts.netloc}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
