"""Keeps the project's keys in a file that only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from emulator.identity import Keys

FIELDS = (
    "publishable",
    "secret",
    "jwt_secret",
    "signing_key",
    "signing_key_id",
    "database_password",
)


class KeysUnreadable(Exception):
    """The file is there but holds no keys; the message says what to do."""


def load_or_create(path: Path) -> Keys:
    """The keys in `path`, or new ones, written there with mode 0600.

    Raises KeysUnreadable when the file holds something else.
    """
    try:
        return load(path)
    except FileNotFoundError:
        keys = Keys.generate()
        content = {name: getattr(keys, name) for name in FIELDS}
        write_private(path, json.dumps(content, indent=2) + "\n")
        return keys


def load(path: Path) -> Keys:
    """The keys in `path`. Raises FileNotFoundError, or KeysUnreadable for other content."""
    try:
        content = json.loads(path.read_text())
        return Keys(**{name: content[name] for name in FIELDS})
    except (ValueError, KeyError, TypeError) as error:
        message = f"{path} holds no keys of this version; delete it to have new ones made"
        raise KeysUnreadable(message) from error


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
