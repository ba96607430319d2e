"""What the real server says about a refused token; its words depend on where the token came."""

from __future__ import annotations

from emulator.identity import Identity, InvalidToken

_CODES = {"malformed": "MalformedJWT", "signature": "JwtSignatureError"}


def join_refusal(error: InvalidToken) -> str:
    """The `reason` in the reply to a join."""
    return f"{_CODES.get(error.reason, 'InvalidJWTToken')}: {_detailed(error)}"


def push_refusal(error: InvalidToken) -> str:
    """The `message` of the system message before a channel is closed."""
    return ":signature_error" if error.reason == "signature" else _detailed(error)


def expiry_message(seconds: int) -> str:
    """The same for a token that has expired that many seconds ago."""
    return f"Token has expired {seconds} seconds ago"


def expires_at(identity: Identity) -> float | None:
    """When the token ends, in seconds since 1970; API keys do not."""
    expires = identity.claims.get("exp")
    return float(expires) if isinstance(expires, int | float) else None


def _detailed(error: InvalidToken) -> str:
    return expiry_message(error.expired_seconds) if error.reason == "expired" else str(error)
