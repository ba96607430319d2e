"""Why a server cannot be reached, and what to do about it: above all what TLS says of it."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import urlsplit

PROBE_SECONDS: Final = 5.0
# The scheme with TLS where it is without, and the other way round.
_OTHER: Final = {"ws": "wss", "wss": "ws", "http": "https", "https": "http"}
START: Final = "is the relay running? Start it with `python -m relay`, or name another one by --url"


class Trouble(NamedTuple):
    """What follows on the address in a message, and whether it may pass by itself."""

    text: str
    passes: bool


async def explain(url: str, error: BaseException) -> Trouble:
    """Why nothing came of a connection to `url` that ended in `error`, and the remedy.

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
    """What follows on the address when it is without TLS and its server wants that."""
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
