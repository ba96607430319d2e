"""What goes wrong, as status and JSON body of Supabase Auth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

VERSION_HEADER = "x-supabase-api-version"
VERSION = "2024-01-01"


@dataclass(eq=False)
class AuthError(Exception):
    """An answer other than success."""

    status: int
    code: str
    message: str
    more: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"

    def body(self, version: str | None) -> dict[str, Any]:
        """The body for a client that speaks `version` of the API."""
        if version is not None and version >= VERSION:
            return {"code": self.code, "message": self.message, **self.more}
        return {"code": self.status, "error_code": self.code, "msg": self.message, **self.more}


def invalid(message: str, status: int = 400) -> AuthError:
    return AuthError(status, "validation_failed", message)


def bad_json() -> AuthError:
    return AuthError(400, "bad_json", "Could not parse request body as JSON")


def bad_token(reason: str) -> AuthError:
    return AuthError(403, "bad_jwt", reason)


def weak_password(least: int) -> AuthError:
    message = f"Password should be at least {least} characters."
    return AuthError(422, "weak_password", message, {"weak_password": {"reasons": ["length"]}})


def not_imitated(what: str) -> AuthError:
    """A feature of the real server that is not emulated."""
    return AuthError(501, "not_imitated", f"{what} is not imitated by this emulator")
