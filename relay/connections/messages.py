"""Messages that clients of relay.v1 may send."""

import enum
import json
from typing import Final

from relay.access.tokens import MAX_TOKEN_BYTES

MAX_BYTES: Final = 4096
MAX_AUTH_BYTES: Final = MAX_TOKEN_BYTES + 64  # the token, and the message around it


class BadMessage(Exception):
    """The message is too long or not one of those that are understood."""


class MessageKind(enum.Enum):
    """The kinds of messages."""

    PING = "ping"
    AUTH = "auth"


def parse(message: str | bytes) -> MessageKind:
    """Parse a client message.

    Raises:
        BadMessage: Neither ping nor auth, binary, or too long.
    """
    check_size(message)
    if isinstance(message, bytes):
        raise BadMessage("binary messages are not understood")
    try:
        payload = json.loads(message)
    except (ValueError, RecursionError):
        raise BadMessage("the message is not JSON") from None
    kind = payload.get("type") if isinstance(payload, dict) else None
    if kind == "ping":
        return MessageKind.PING
    if kind == "auth" and isinstance(payload.get("token"), str):
        return MessageKind.AUTH
    raise BadMessage('only {"type":"ping"} and {"type":"auth","token":"..."} are understood')


def token_in(message: str | bytes) -> str | None:
    """The token that the client shows by this message; None when it is another message.

    Raises:
        BadMessage: It is too long.
    """
    check_size(message)
    if isinstance(message, bytes) or '"auth"' not in message:
        return None
    try:
        payload = json.loads(message)
    except (ValueError, RecursionError):
        return None
    if not isinstance(payload, dict) or payload.get("type") != "auth":
        return None
    token = payload.get("token")
    return token if isinstance(token, str) else None


def check_size(message: str | bytes) -> None:
    """Pass messages within the limit.

    Raises:
        BadMessage: Over 4 KiB, or over what a token and the message around it take.
    """
    size = len(message)
    if isinstance(message, str) and size <= MAX_BYTES and not message.isascii():
        size = len(message.encode())
    if size > MAX_BYTES:
        brings_token = isinstance(message, str) and '"auth"' in message
        most = MAX_AUTH_BYTES if brings_token else MAX_BYTES
        if size > most:
            raise BadMessage(f"the message is longer than {most} bytes")
