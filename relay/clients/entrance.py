"""Who is let in, and as what: decided from the request alone, before anything is kept. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from relay.changes.endpoints import ENDPOINTS, Endpoint
from relay.changes.frames import SUBPROTOCOL
from relay.changes.groups import Format
from relay.clients.parameters import Parameters, parse
from relay.close import CloseCode
from relay.errors import BadParameter
from relay.origins import Allows, is_addressed_locally, is_foreign

PATHS: Final = MappingProxyType({f"/ws/{endpoint.name}": endpoint for endpoint in ENDPOINTS})


@dataclass(frozen=True, slots=True)
class Request:
    """A valid WebSocket handshake for an endpoint; names of headers are in lower case."""

    endpoint: Endpoint
    query: str
    headers: Mapping[str, str]
    client: str  # address and port, for the log

    def subprotocols(self) -> list[str]:
        """Those that the client offers."""
        offered = self.headers.get("sec-websocket-protocol", "").split(",")
        return [name.strip() for name in offered if name.strip()]


@dataclass(frozen=True, slots=True)
class Admitted:
    """The client is served."""

    format: Format
    wanted: Parameters

    @property
    def subprotocol(self) -> str | None:
        """The one that was agreed upon."""
        return SUBPROTOCOL if self.format is Format.EVENTS else None


@dataclass(frozen=True, slots=True)
class Refused:
    """The handshake is answered by this status."""

    status: HTTPStatus


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """The handshake is accepted and the connection closed at once, so that a browser is told."""

    subprotocol: str | None
    code: CloseCode
    reason: str


Decision = Admitted | Refused | TurnedAway


class Entrance:
    """Decides in this order: what costs a stranger an HTTP error, then what is told by a code."""

    def __init__(self, allows: Allows) -> None:
        self._allows = allows

    def decide(self, request: Request) -> Decision:
        """What becomes of the request."""
        foreign = is_foreign(request.headers, self._allows)
        if foreign or not is_addressed_locally(request.headers.get("host", "")):
            return Refused(HTTPStatus.FORBIDDEN)
        offered = request.subprotocols()
        try:
            return _admit(request, offered)
        except BadParameter as bad:
            # A browser whose subprotocol is not accepted sees a failure without any code.
            chosen = SUBPROTOCOL if SUBPROTOCOL in offered else next(iter(offered), None)
            return TurnedAway(chosen, CloseCode.BAD_PARAMETER, str(bad))


def _admit(request: Request, offered: list[str]) -> Admitted:
    format = Format.EVENTS if SUBPROTOCOL in offered else Format.ROWS
    if offered and format is Format.ROWS:
        raise BadParameter(f"the only subprotocol is {SUBPROTOCOL}")
    resumable = format is Format.EVENTS
    return Admitted(format, parse(request.endpoint, request.query, resumable=resumable))
