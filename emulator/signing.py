"""The keys that sign users' tokens: the newest signs, all that are listed verify."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


class UnknownKey(Exception):
    """There is no such key, or it is the current one; the message says which."""


@dataclass(frozen=True)
class SigningKey:
    """An ES256 key pair; `private` is PEM."""

    id: str
    private: str = field(repr=False)

    @classmethod
    def generate(cls) -> SigningKey:
        """A new random pair."""
        private = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return cls(secrets.token_hex(16), private.decode())

    @cached_property
    def pair(self) -> ec.EllipticCurvePrivateKey:
        """The key itself.

        Raises:
            TypeError: `private` is of another kind.
        """
        key = serialization.load_pem_private_key(self.private.encode(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("the signing key is not an elliptic curve key")
        return key

    def published(self) -> dict[str, Any]:
        """The public half as a JWK."""
        numbers = self.pair.public_key().public_numbers()
        return {
            "kty": "EC",
            "crv": "P-256",
            "alg": "ES256",
            "use": "sig",
            "key_ops": ["verify"],
            "ext": True,
            "kid": self.id,
            "x": _coordinate(numbers.x),
            "y": _coordinate(numbers.y),
        }


class Store(Protocol):
    """Where keys are kept, for other processes to read and to change."""

    def newer(self) -> tuple[SigningKey, ...] | None:
        """The keys, if they were changed since they were last read or written."""

    def write(self, keys: Sequence[SigningKey]) -> None:
        """Keep `keys`."""


class SigningKeys:
    """At least one key, the newest first. What another process put into the store counts too."""

    def __init__(self, keys: Sequence[SigningKey], store: Store | None = None) -> None:
        self._keys = tuple(keys)
        self._store = store

    @property
    def listed(self) -> tuple[SigningKey, ...]:
        """All keys that verify."""
        if self._store is not None and (newer := self._store.newer()):
            self._keys = newer
        return self._keys

    @property
    def current(self) -> SigningKey:
        """The key that signs."""
        return self.listed[0]

    def candidates(self, key_id: object) -> tuple[SigningKey, ...]:
        """The keys that may have signed a token whose header names `key_id` (None: names none)."""
        return tuple(key for key in self.listed if key_id in (None, key.id))

    def rotate(self) -> SigningKey:
        """Sign with a new key from now on; what the former ones signed stays valid."""
        fresh = SigningKey.generate()
        self._keep((fresh, *self.listed))
        return fresh

    def revoke(self, key_id: str) -> None:
        """Let tokens of a former key be refused. Raises UnknownKey, also for the current one."""
        if key_id == self.current.id:
            raise UnknownKey(f"{key_id} signs the tokens; rotate first")
        kept = tuple(key for key in self.listed if key.id != key_id)
        if kept == self.listed:
            raise UnknownKey(f"there is no signing key {key_id}")
        self._keep(kept)

    def _keep(self, keys: tuple[SigningKey, ...]) -> None:
        self._keys = keys
        if self._store is not None:
            self._store.write(keys)


def _coordinate(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()
