"""The negotiation of permessage-deflate (RFC 7692), on terms that let all clients share a frame."""

from collections.abc import Sequence
from typing import Final

from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.headers import build_extension, parse_extension
from websockets.typing import ExtensionHeader

from relay.changes.deflate import WINDOW_BITS

_MAX_WINDOW_BITS: Final = 15


def agree(offered: str) -> str | None:
    """The answer to what a client offers in `Sec-WebSocket-Extensions`, or None without agreement.

    Neither side keeps a context: the client need not, so that nothing is kept for it here either.
    """
    terms = ServerPerMessageDeflateFactory(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        server_max_window_bits=WINDOW_BITS,
    )
    for name, parameters in _parsed(offered):
        if name != terms.name or not _allows(parameters):
            continue
        try:
            accepted, _ = terms.process_request_params(parameters, [])
        except NegotiationError:
            continue
        return build_extension([(terms.name, list(accepted))])
    return None


def inflating() -> PerMessageDeflate:
    """What the parser of a client needs after an agreement."""
    return PerMessageDeflate(
        remote_no_context_takeover=True,
        local_no_context_takeover=True,
        remote_max_window_bits=_MAX_WINDOW_BITS,
        local_max_window_bits=WINDOW_BITS,
    )


def _parsed(offered: str) -> Sequence[ExtensionHeader]:
    try:
        return parse_extension(offered)
    except InvalidHeader:
        return []


def _allows(parameters: Sequence[tuple[str, str | None]]) -> bool:
    # The library would agree to a smaller window than the shared frames are made with.
    bits = dict(parameters).get("server_max_window_bits")
    return bits is None or (bits.isdigit() and int(bits) >= WINDOW_BITS)
