"""Users' tokens: which are good, and what they say. Pure: the caller brings keys and the time.

Which algorithms count is a matter of configuration, and each key goes with its own algorithm, so
that nothing in a token decides how it is checked.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import jwt

MAX_TOKEN_BYTES: Final = 8192
LEEWAY_SECONDS: Final = 30.0
_ONLY_SIGNATURE: Final[jwt.types.Options] = {
    "verify_signature": True,
    "verify_aud": False,  # the claims are checked below, against the caller's clock
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}

Algorithm = Literal["HS256", "ES256", "RS256"]


class BadToken(Exception):
    """The token is not accepted; the text may be shown to its holder."""


class UnknownKey(BadToken):
    """The token fits no key that is there; a fresh list of keys may have it. `key` stands for the
    one that it names, or for the token itself where it names none."""

    def __init__(self, key: bytes) -> None:
        super().__init__("the token is signed by a key that the project does not have")
        self.key: Final = key


class NotCurrent(BadToken):
    """The token has expired or is not valid yet: another one of the same user may be good."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that verifies one algorithm; `id` is None where tokens need not name it."""

    algorithm: Algorithm
    verifies: Any = field(repr=False)
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims of a valid token; times in seconds since 1970.

    `metadata` is `app_metadata`, which only the project's own server writes: users write
    `user_metadata` themselves, and nothing is ever allowed by it.
    """

    role: str
    expires: float
    user: str | None
    session: str | None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rules:
    """Claims required beside a valid signature; an empty `issuer` accepts any."""

    issuer: str
    audience: str = "authenticated"


def verify(token: str, keys: Sequence[Key], rules: Rules, now: float) -> Claims:
    """Verify the token and return its claims.

    Raises:
        UnknownKey: It is signed by a key that is not among `keys`.
        NotCurrent: Nothing is wrong with it but the time.
        BadToken: Anything else is wrong with it.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise BadToken(f"the token is longer than {MAX_TOKEN_BYTES} bytes")
    payload = _signed(token, keys)
    expires = _time(payload, "exp")
    if expires is None:
        raise BadToken("the token does not say when it expires")
    begins = [_time(payload, name) or 0.0 for name in ("nbf", "iat")]
    if rules.issuer and payload.get("iss") != rules.issuer:
        raise BadToken("the token is of another issuer")
    audience = payload.get("aud")
    if rules.audience not in (audience if isinstance(audience, list) else [audience]):
        raise BadToken("the token is meant for another audience")
    claims = _claims(payload, expires)
    # Last: whoever is told that the time is wrong comes back with the same kind of token.
    if expires + LEEWAY_SECONDS <= now:
        raise NotCurrent("the token has expired")
    if max(begins) - LEEWAY_SECONDS > now:
        raise NotCurrent("the token is not valid yet")
    return claims


def _signed(token: str, keys: Sequence[Key]) -> dict[str, Any]:
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise BadToken("the token is not a JWT") from None
    algorithm, key_id = header.get("alg"), header.get("kid")
    able = [key for key in keys if key.algorithm == algorithm]
    fitting = [key for key in able if key.id is None or key_id is None or key.id == key_id]
    for key in fitting:
        try:
            payload = jwt.decode(
                token, key.verifies, algorithms=[key.algorithm], options=_ONLY_SIGNATURE
            )
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            continue
        return payload
    named = key_id is not None and any(key.id == key_id for key in fitting)
    if algorithm in ("ES256", "RS256") and not named:
        named_by = f"token {token}" if key_id is None else f"key {key_id}"
        raise UnknownKey(
            hashlib.blake2b(named_by.encode("utf-8", "replace"), digest_size=16).digest()
        )
    if not fitting:
        raise BadToken("the token is signed in a way that is not accepted")
    raise BadToken("the signature of the token is wrong")


def _claims(payload: Mapping[str, Any], expires: float) -> Claims:
    role, metadata = payload.get("role"), payload.get("app_metadata")
    if not isinstance(role, str) or not role:
        raise BadToken("the token names no role")
    return Claims(
        role=role,
        expires=expires,
        user=_text(payload, "sub"),
        session=_text(payload, "session_id"),
        metadata=metadata if isinstance(metadata, dict) else {},
    )


def _time(payload: Mapping[str, Any], name: str) -> float | None:
    value = payload.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        raise BadToken(f"{name} of the token is no time")
    return float(value)


def _text(payload: Mapping[str, Any], name: str) -> str | None:
    value = payload.get(name)
    return value if isinstance(value, str) and value else None


def shared(secret: str) -> Key:
    """The key of a project that signs with HS256 and one secret for all."""
    return Key("HS256", secret)


def published(document: Mapping[str, Any]) -> tuple[Key, ...]:
    """The keys of a JWKS document, those for other algorithms or uses left out."""
    listed = document.get("keys")
    found = [_published(each) for each in listed] if isinstance(listed, list) else []
    return tuple(key for key in found if key is not None)


def _published(described: object) -> Key | None:
    if not isinstance(described, dict) or described.get("use", "sig") != "sig":
        return None
    kind, key_id = described.get("kty"), described.get("kid")
    if key_id is not None and not isinstance(key_id, str):
        return None
    try:
        if kind == "EC" and described.get("crv") == "P-256":
            return Key("ES256", jwt.algorithms.ECAlgorithm.from_jwk(json.dumps(described)), key_id)
        if kind == "RSA":
            return Key("RS256", jwt.algorithms.RSAAlgorithm.from_jwk(json.dumps(described)), key_id)
    except (jwt.InvalidKeyError, ValueError, KeyError):
        return None
    return None
