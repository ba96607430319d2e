"""What clients may say."""

import pytest

from relay.connections.messages import (
    MAX_AUTH_BYTES,
    BadMessage,
    MessageKind,
    check_size,
    parse,
    token_in,
)


def test_ping_and_auth_are_understood() -> None:
    assert parse('{"type":"ping"}') is MessageKind.PING
    assert parse('{"type": "auth", "token": "a.b.c"}') is MessageKind.AUTH


@pytest.mark.parametrize(
    "message",
    ["", "ping", "[]", "1", "null", "{}", '{"type":"pong"}', '{"type":"auth"}',
     '{"type":"auth","token":1}', '{"type":["ping"]}', b'{"type":"ping"}', "[" * 4000],
)  # fmt: skip
def test_anything_else_is_bad(message: str | bytes) -> None:
    with pytest.raises(BadMessage):
        parse(message)


def test_the_limit_is_4096_bytes_of_utf_8() -> None:
    check_size("x" * 4096)
    check_size(b"x" * 4096)
    for message in ("x" * 4097, "é" * 2049, b"x" * 4097):
        with pytest.raises(BadMessage, match="longer"):
            check_size(message)


def test_a_message_with_a_token_has_room_for_8_kib_of_it() -> None:
    token = "x" * 8192
    message = f'{{"type": "auth", "token": "{token}"}}'
    assert len(message) <= MAX_AUTH_BYTES
    assert parse(message) is MessageKind.AUTH
    assert token_in(message) == token
    for long in (message + " " * MAX_AUTH_BYTES, message.replace("auth", "ping")):
        with pytest.raises(BadMessage, match="longer"):
            check_size(long)
