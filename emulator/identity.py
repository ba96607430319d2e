"""Who is calling: API keys and JWTs in, database role and claims out."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from emulator.signing import SigningKey, SigningKeys

Algorithm = Literal["ES256", "HS256"]
Reason = Literal["malformed", "signature", "expired", "early", "claims"]

LEGACY_KEY_SECONDS = 10 * 365 * 24 * 3600


@dataclass(frozen=True)
class Identity:
    """A verified caller: the database role to use and what `request.jwt.claims` holds."""

    role: str
    claims: Mapping[str, Any]


class InvalidToken(Exception):
    """The token is refused; `str()` is the text that the real server sends when connecting.

    `reason` lets REST and Realtime choose the wording they use elsewhere; `expired_seconds` says
    for how long an expired token has been so.
    """

    def __init__(self, message: str, reason: Reason, expired_seconds: int = 0) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.expired_seconds = expired_seconds


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The secrets of one emulated project; none of them shows in `repr`."""

    publishable: str = field(repr=False)
    secret: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    signing: SigningKeys = field(repr=False, compare=False)  # ES256
    database_password: str = field(repr=False)
    clock: Callable[[], float] = field(default=time.time, repr=False, compare=False)

    @classmethod
    def generate(cls) -> Keys:
        """New random keys, each unguessable."""
        return cls(
            publishable=f"sb_publishable_{secrets.token_urlsafe(24)}",
            secret=f"sb_secret_{secrets.token_urlsafe(24)}",
            jwt_secret=secrets.token_urlsafe(40),
            signing=SigningKeys([SigningKey.generate()]),
            database_password=secrets.token_urlsafe(24),
        )

    def identify(self, token: str) -> Identity:
        """Identify the holder of an sb_ key, a legacy JWT key or a user token.

        Raises:
            InvalidToken: It is neither one of our keys nor a JWT signed by this project, not
                expired, with the claims `role` and `exp`.
        """
        if _same(token, self.publishable):
            return Identity("anon", {"role": "anon"})
        if _same(token, self.secret):
            return Identity("service_role", {"role": "service_role"})
        claims = self._verified(token)
        role, expires = claims.get("role"), claims.get("exp")
        if not isinstance(role, str) or not role or not _is_number(expires):
            raise InvalidToken("Fields `role` and `exp` are required in JWT", "claims")
        self._check_time(expires, claims.get("nbf"))
        return Identity(role, claims)

    def mint(
        self,
        role: str,
        *,
        subject: str | None = None,
        seconds: int = 3600,
        algorithm: Algorithm = "ES256",
        **claims: Any,
    ) -> str:
        """A token for `role`, valid for `seconds` (negative: expired already).

        `claims` are added and win over those made here.
        """
        now = int(self.clock())
        payload: dict[str, Any] = {"aud": "authenticated", "role": role, "iat": now}
        payload["exp"] = now + seconds
        if subject is not None:
            payload["sub"] = subject
        payload |= claims
        if algorithm == "HS256":
            return jwt.encode(payload, self.jwt_secret, algorithm="HS256")
        key = self.signing.current
        return jwt.encode(payload, key.pair, algorithm="ES256", headers={"kid": key.id})

    def legacy_key(self, role: Literal["anon", "service_role"]) -> str:
        """An API key of the older kind: a JWT over the shared secret, valid for ten years."""
        return self.mint(role, seconds=LEGACY_KEY_SECONDS, algorithm="HS256", iss="supabase")

    def jwks(self) -> dict[str, Any]:
        """The public halves, the one that signs first: what `jwks.json` serves."""
        return {"keys": [key.published() for key in self.signing.listed]}

    def _verified(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as exc:
            raise InvalidToken("The token provided is not a valid JWT", "malformed") from exc
        # The header only picks among our keys; each key accepts its own algorithm alone.
        if header.get("alg") == "HS256":
            return _decoded(token, self.jwt_secret, "HS256")
        refusal = InvalidToken("Failed to validate JWT signature", "signature")
        for key in self.signing.candidates(header.get("kid")):
            try:
                return _decoded(token, key.pair.public_key(), "ES256")
            except InvalidToken as exc:
                refusal = exc
        raise refusal

    def _check_time(self, expires: float, not_before: object) -> None:
        now = self.clock()
        if expires <= now:
            raise InvalidToken("Token has expired", "expired", int(now - expires))
        if _is_number(not_before) and not_before > now:
            raise InvalidToken("Token is not valid yet", "early")


def _decoded(token: str, key: str | ec.EllipticCurvePublicKey, algorithm: str) -> dict[str, Any]:
    options: jwt.types.Options = {
        "verify_signature": True,
        "verify_aud": False,  # the API serves every audience of its own project
        "verify_exp": False,  # see Keys._check_time
        "verify_nbf": False,
        "verify_iat": False,
        "verify_sub": False,
        "verify_jti": False,
    }
    try:
        return jwt.decode(token, key, algorithms=[algorithm], options=options)
    except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError) as exc:
        raise InvalidToken("Failed to validate JWT signature", "signature") from exc
    except jwt.InvalidTokenError as exc:
        raise InvalidToken("The token provided is not a valid JWT", "malformed") from exc


def _same(given: str, key: str) -> bool:
    return secrets.compare_digest(given.encode(), key.encode())


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
