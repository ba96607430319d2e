"""Authentication: the API key that the gateway checks, and the token that decides the role."""

from __future__ import annotations

from emulator.identity import Identity, InvalidToken, Keys
from emulator.rest.errors import ApiError, GatewayError

# What PostgREST says where the Realtime server has other words.
WORDING = {
    "signature": ("PGRST301", "No suitable key or wrong key type"),
    "expired": ("PGRST303", "JWT expired"),
    "early": ("PGRST303", "JWT not yet valid"),
    "claims": ("PGRST303", "Parsing claims failed"),
}
# The roles of the keys that a project hands out, and claims of people's tokens, which no key has.
ROLES = ("anon", "service_role")
PERSONAL = ("sub", "session_id")


def authenticate(keys: Keys, apikey: str | None, authorization: str | None) -> Identity:
    """The caller of a request.

    Raises GatewayError 401 unless `apikey` is a key of the project, ApiError 401 when the Bearer
    token is neither that key nor a valid JWT.
    """
    identity = holder(keys, apikey)
    token = bearer(authorization)
    if token is None or token == apikey:
        return identity
    parts = len(token.split("."))
    if parts != 3:
        message = f"Expected 3 parts in JWT; got {parts}" if token else "Empty JWT is sent in"
        raise _refusal("PGRST301", message if token else f"{message} Authorization header")
    try:
        return keys.identify(token)
    except InvalidToken as exc:
        code, message = WORDING.get(exc.reason, ("PGRST301", "JWT couldn't be decoded"))
        unknown = exc.reason == "signature"
        details = "None of the keys was able to decode the JWT" if unknown else None
        raise _refusal(code, message, details) from exc


def holder(keys: Keys, apikey: str | None) -> Identity:
    """Identify the holder of `apikey`.

    Raises:
        GatewayError: 401; it is no key of the project.
    """
    if not apikey:
        raise GatewayError(
            401,
            "No API key found in request",
            "No `apikey` request header or url param was found.",
        )
    try:
        identity = keys.identify(apikey)
    except InvalidToken as exc:
        raise _unknown_key() from exc
    if identity.role not in ROLES or any(claim in identity.claims for claim in PERSONAL):
        raise _unknown_key()
    return identity


def _unknown_key() -> GatewayError:
    return GatewayError(
        401,
        "Invalid API key",
        "Double check your Supabase `anon` or `service_role` API key.",
    )


def bearer(authorization: str | None) -> str | None:
    """The token in an Authorization header; None when it has none."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _refusal(code: str, message: str, details: str | None = None) -> ApiError:
    challenge = f'Bearer error="invalid_token", error_description="{message}"'
    return ApiError(401, code, message, details, headers=(("WWW-Authenticate", challenge),))
