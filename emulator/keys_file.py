"""Keeps the project's keys in a file that only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emulator.identity import Keys
from emulator.signing import SigningKey, SigningKeys

FIELDS = ("publishable", "secret", "jwt_secret", "database_password")


class KeysUnreadable(Exception):
    """The file is there but holds no keys; the message says what to do."""


def load_or_create(path: Path) -> Keys:
    """The keys in `path`, or new ones, written there with mode 0600.

    Raises:
        KeysUnreadable: The file holds something else.
    """
    try:
        return load(path)
    except FileNotFoundError:
        keys = Keys.generate()
        content = {name: getattr(keys, name) for name in FIELDS}
        _write(path, content, keys.signing.listed)
        return load(path)


def load(path: Path) -> Keys:
    """The keys in `path`; when its signing keys are changed, they are read again.

    Raises FileNotFoundError, or KeysUnreadable for other content.
    """
    store = SigningFile(path)
    content = _read(path)
    try:
        fields = {name: content[name] for name in FIELDS}
    except KeyError as exc:
        raise _unreadable(path) from exc
    return Keys(**fields, signing=SigningKeys(store.newer() or (), store))


class SigningFile:
    """The signing keys in `path`, which is also where another process rotates them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None

    def newer(self) -> tuple[SigningKey, ...] | None:
        """The keys, if the file is another one than before. Raises KeysUnreadable."""
        try:
            now = self._version()
        except FileNotFoundError:  # removed under a running emulator, which keeps what it has
            return None
        if now == self._seen:
            return None
        try:
            listed = _read(self._path)["signing_keys"]
            keys = tuple(SigningKey(key["id"], key["private"]) for key in listed)
            if not all(key.published() for key in keys) or not keys:
                raise ValueError("no key")
        except (KeyError, TypeError, ValueError) as exc:
            raise _unreadable(self._path) from exc
        self._seen = now
        return keys

    def write(self, keys: Sequence[SigningKey]) -> None:
        """Put `keys` into the file, whose other content stays."""
        _write(self._path, _read(self._path), keys)
        self._seen = self._version()

    def _version(self) -> tuple[int, int]:
        status = self._path.stat()
        return status.st_ino, status.st_mtime_ns


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except ValueError as exc:
        raise _unreadable(path) from exc
    if not isinstance(content, dict):
        raise _unreadable(path)
    return content


def _write(path: Path, content: dict[str, Any], keys: Sequence[SigningKey]) -> None:
    listed = [{"id": key.id, "private": key.private} for key in keys]
    write_private(path, json.dumps({**content, "signing_keys": listed}, indent=2) + "\n")


def _unreadable(path: Path) -> KeysUnreadable:
    return KeysUnreadable(f"{path} holds no keys of this version; delete it to have new ones made")


def write_private(path: Path, text: str) -> None:
    """Put `text` into `path` with mode 0600, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
