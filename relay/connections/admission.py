"""Admission control: parameters, origin, limits and token, judged from the handshake alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl

from relay.access.addresses import Proxies
from relay.access.gate import Denied, Gate, Grant, NotReady
from relay.access.limits import ConnectionLimiter, LimitReached, SocketLimiter
from relay.access.origins import Allows, foreign, is_addressed_locally, is_foreign
from relay.access.tokens import NotCurrent, UnknownKey
from relay.close_codes import CloseCode
from relay.errors import BadParameter
from relay.resume.cursor import MAX_CURSOR_BYTES
from relay.resume.initial_state import MOST_ROWS
from relay.stream.change import ENDPOINTS, Endpoint
from relay.stream.encoding import SUBPROTOCOL, Compression, Format
from relay.stream.filters import Filter

MAX_VALUES: Final = 50
MAX_FIELDS: Final = MAX_VALUES + 16
MAX_VALUE_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Parameters:
    """A valid query; `last` is None when the client did not say."""

    filter: Filter
    last: int | None = None
    cursor: str | None = None
    token: str | None = field(default=None, repr=False)


def parse_query(endpoint: Endpoint, query: str, *, resumable: bool) -> Parameters:
    """Parse the query of a handshake; only a `resumable` format has `cursor`.

    `seq`, which former clients sent beside the cursor, is ignored.

    Raises:
        BadParameter: A parameter is unknown, given twice though it is no filter, or has a bad
            value.
    """
    given = _grouped(query)
    given.pop("seq", None)
    cursor = _once(given, "cursor")
    if not resumable and cursor is not None:
        raise BadParameter("cursor needs the subprotocol relay.v1")
    if cursor is not None and len(cursor) > MAX_CURSOR_BYTES:
        raise BadParameter(f"cursor is longer than {MAX_CURSOR_BYTES} bytes")
    last, token = _once(given, "last"), _once(given, "token")
    return Parameters(
        filter=Filter.of(
            endpoint, {name: _values(endpoint, name, texts) for name, texts in given.items()}
        ),
        last=None if last is None else _number("last", last, MOST_ROWS),
        cursor=cursor or None,
        token=token or None,
    )


def _grouped(query: str) -> dict[str, list[str]]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise BadParameter("the query is not UTF-8 or has too many parameters") from None
    given: dict[str, list[str]] = {}
    for name, text in pairs:
        given.setdefault(name, []).append(text)
    return given


def _once(given: dict[str, list[str]], name: str) -> str | None:
    texts = given.pop(name, [])
    if len(texts) > 1:
        raise BadParameter(f"{name} is given twice")
    return texts[0] if texts else None


def _values(endpoint: Endpoint, name: str, texts: Sequence[str]) -> frozenset[str]:
    """Return the values of one parameter: comma-separated, or as they are if it is repeated."""
    if name not in endpoint.filters:
        known = ", ".join(endpoint.filters)
        raise BadParameter(f"{endpoint.name} has no parameter {name[:40]!r}; filters: {known}")
    if any("\0" in text for text in texts):
        raise BadParameter(f"{name} has a character that no row can have")
    values = frozenset(texts if len(texts) > 1 else texts[0].split(","))
    if "" in values or len(values) > MAX_VALUES:
        raise BadParameter(f"{name} needs 1 to {MAX_VALUES} values separated by commas")
    possible = endpoint.filters[name].values
    if possible is not None and (unknown := sorted(values - possible)):
        one_of = ", ".join(sorted(possible))
        raise BadParameter(f"{name} cannot be {unknown[0][:40]!r}; it is one of: {one_of}")
    if any(len(each) > MAX_VALUE_CHARACTERS for each in values):
        raise BadParameter(f"{name}: a value is longer than {MAX_VALUE_CHARACTERS} characters")
    return values


def _number(name: str, value: str, most: int) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 20 and int(value) <= most):
        raise BadParameter(f"{name} has to be a number from 0 to {most}")
    return int(value)


PATHS: Final = MappingProxyType({f"/ws/{endpoint.name}": endpoint for endpoint in ENDPOINTS})
COMMON_QUERY_BYTES: Final = 100
MAX_QUERY_BYTES: Final = 16 * 1024  # a cursor, a token and long filters fit
RETRY_SECONDS: Final = 1
LOCAL_ONLY: Final = (
    "without access control the relay serves localhost only: set RELAY_AUTH=required, or"
    " RELAY_ALLOW_PUBLIC_WITHOUT_AUTH=yes"
)
_BEARER: Final = "bearer."


@dataclass(frozen=True, slots=True)
class Request:
    """A valid WebSocket handshake for an endpoint; names of headers are in lower case.

    `address` is that of the other end of the connection, which may be a proxy.
    """

    endpoint: Endpoint
    query: str
    headers: Mapping[str, str]
    address: str
    port: int

    def subprotocols(self) -> list[str]:
        """Return the offered subprotocols, without one that carries a token."""
        return [name for name in self._offered() if not name.startswith(_BEARER)]

    def token(self) -> str | None:
        """Return the token of the headers; None when there is none."""
        for name in self._offered():
            if name.startswith(_BEARER):
                return name.removeprefix(_BEARER)
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    def _offered(self) -> list[str]:
        offered = self.headers.get("sec-websocket-protocol", "").split(",")
        return [name.strip() for name in offered if name.strip()]


@dataclass(frozen=True, slots=True)
class Admitted:
    """The handshake is accepted; without a grant the token has to be verified first.

    `token` is one that came with the handshake and could not be judged yet. `compression` is what
    was agreed upon, None for plain frames.
    """

    format: Format
    wanted: Parameters
    client: str  # address and port, for the log
    place: str
    grant: Grant | None
    token: str | None = field(default=None, repr=False)
    compression: Compression | None = None

    @property
    def subprotocol(self) -> str | None:
        """The negotiated subprotocol."""
        return SUBPROTOCOL if self.format is Format.EVENTS else None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The handshake is answered by an HTTP status; `retry_seconds` when a retry makes sense."""

    status: HTTPStatus
    reason: str
    retry_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class ClosedAtOnce:
    """The handshake is accepted and the connection closed at once: so browsers see the code."""

    subprotocol: str | None
    code: CloseCode
    reason: str
    place: str


Decision = Admitted | Rejected | ClosedAtOnce


class Admission:
    """Decides about handshakes: first what an HTTP status refuses, then what a close code tells.

    An accepted handshake counts as a connection until `release`. With `local_only` only who
    addresses this machine by its own name is let in.
    """

    def __init__(
        self,
        allows: Allows,
        gate: Gate,
        limiter: ConnectionLimiter,
        now: Callable[[], float],
        proxies: Proxies | None = None,
        *,
        local_only: bool = False,
    ) -> None:
        self._allows = allows
        self._gate = gate
        self._now = now
        self._proxies = proxies or Proxies()
        self._local_only = local_only
        self.limiter: Final = limiter
        self.socket_limiter: Final = SocketLimiter(limiter.limits.per_address, self._proxies.trusts)

    def decide(self, request: Request) -> Decision:
        """Admit, close or reject the handshake."""
        if is_foreign(request.headers, self._allows):
            return Rejected(HTTPStatus.FORBIDDEN, foreign(request.headers))
        if self._local_only and not is_addressed_locally(request.headers.get("host", "")):
            return Rejected(HTTPStatus.FORBIDDEN, LOCAL_ONLY)
        if len(request.query) > MAX_QUERY_BYTES:
            too_long = f"the query is longer than {MAX_QUERY_BYTES} bytes"
            return Rejected(HTTPStatus.REQUEST_URI_TOO_LONG, too_long)
        address = self._proxies.client(request.address, request.headers)
        try:
            place = self.limiter.enter(address, self._now())
        except LimitReached as exc:
            return Rejected(HTTPStatus(exc.status), str(exc), exc.retry_seconds)
        decision = self._judge(request, place)
        if isinstance(decision, Rejected):
            self.limiter.leave(place)
        return decision

    def release(self, decision: Decision) -> None:
        """Release what `decide` counted."""
        if not isinstance(decision, Rejected):
            self.limiter.leave(decision.place)

    def client(self, request: Request) -> str:
        """The client's address, and the port at the other end of the connection, for the log."""
        return f"{self._proxies.client(request.address, request.headers)}:{request.port}"

    def _judge(self, request: Request, place: str) -> Decision:
        offered = request.subprotocols()
        format = Format.EVENTS if SUBPROTOCOL in offered else Format.ROWS
        # A browser whose subprotocol is not accepted sees a failure without any code.
        chosen = SUBPROTOCOL if format is Format.EVENTS else next(iter(offered), None)
        try:
            if offered and format is Format.ROWS:
                raise BadParameter(f"the only subprotocol is {SUBPROTOCOL}")
            wanted = _parse(request.endpoint, request.query, format is Format.EVENTS)
            token = request.token() or wanted.token
            grant = self._grant(token, request.endpoint)
        except BadParameter as exc:
            return ClosedAtOnce(chosen, CloseCode.BAD_PARAMETER, str(exc), place)
        except NotCurrent as exc:
            return ClosedAtOnce(chosen, CloseCode.TOKEN_EXPIRED, str(exc), place)
        except Denied as exc:
            return ClosedAtOnce(chosen, CloseCode.UNAUTHORIZED, str(exc), place)
        except NotReady:
            not_ready = "the relay does not know yet who may see what; its /readyz says why"
            return Rejected(HTTPStatus.SERVICE_UNAVAILABLE, not_ready, RETRY_SECONDS)
        return Admitted(
            format, wanted, self.client(request), place, grant, None if grant else token
        )

    def _grant(self, token: str | None, endpoint: Endpoint) -> Grant | None:
        if token is None and self._gate.required:
            return None
        try:
            return self._gate.admit(token or "", endpoint)
        except UnknownKey:
            return None


def _parse(endpoint: Endpoint, query: str, resumable: bool) -> Parameters:
    # Most clients ask for the same; a cursor or a token is presented once, and not kept here.
    if len(query) > COMMON_QUERY_BYTES or "token" in query:
        return parse_query(endpoint, query, resumable=resumable)
    return _parse_common(endpoint, query, resumable)


@lru_cache(maxsize=512)
def _parse_common(endpoint: Endpoint, query: str, resumable: bool) -> Parameters:
    return parse_query(endpoint, query, resumable=resumable)
