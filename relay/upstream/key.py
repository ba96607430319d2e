"""What the relay's key is, and how long it is good: the secret keys of today do not expire, older
keys and those made for the relay alone are JWTs, which may. Pure."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

SOON_SECONDS: Final = 7 * 86400


def is_token(key: str) -> bool:
    """Whether it is a JWT: as such it tells who calls, but opens no gateway by itself."""
    return key.count(".") == 2


def role(key: str) -> str | None:
    """The role that the key stands for; None when it does not show."""
    if key.startswith("sb_secret_"):
        return "service_role"
    if key.startswith("sb_publishable_"):
        return "anon"
    claims = _claims(key)
    found = None if claims is None else claims.get("role")
    return found if isinstance(found, str) else None


def expires_at(key: str) -> float | None:
    """When the key expires, in seconds since 1970; None when it does not, or does not say."""
    claims = _claims(key)
    try:
        return None if claims is None else float(claims["exp"])
    except (ValueError, KeyError, TypeError):
        return None


def _claims(key: str) -> Mapping[str, Any] | None:
    parts = key.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None


def trouble(key: str, now: float) -> str | None:
    """What to say about a key that expires soon or has expired; None about any other."""
    end = expires_at(key)
    if end is None or end - now > SOON_SECONDS:
        return None
    if end <= now:
        return f"the relay's key expired {now - end:.0f} s ago: give it a new one and restart it"
    return f"the relay's key expires in {end - now:.0f} s: give it a new one and restart it"
