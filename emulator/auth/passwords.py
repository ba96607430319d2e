"""Passwords as they are kept: scrypt with a salt of each user's own."""

from __future__ import annotations

import base64
import hashlib
import secrets

SCHEME = "$scrypt$"
COST, BLOCK, PARALLEL = 2**14, 8, 1  # 16 MiB and some 40 ms
SALT_BYTES = 16
LEAST_LENGTH = 6


def hashed(password: str) -> str:
    """What to keep of `password`. Takes some 40 ms of a core."""
    salt = secrets.token_bytes(SALT_BYTES)
    return SCHEME + _encoded(salt) + "$" + _encoded(_digest(password, salt))


def matches(password: str, kept: str | None) -> bool:
    """Whether `kept` was made of `password`; takes as long when there is nothing to compare."""
    salt, _, digest = (kept or "").removeprefix(SCHEME).partition("$")
    if kept is None or not kept.startswith(SCHEME):
        _digest(password, b"nobody's")
        return False
    return secrets.compare_digest(_encoded(_digest(password, _decoded(salt))), digest)


def _digest(password: str, salt: bytes) -> bytes:
    secret = password.encode("utf-8", errors="surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=COST, r=BLOCK, p=PARALLEL)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text)
