"""The opening handshake, without sockets."""

from http import HTTPStatus

import pytest

from relay.connections.handshake import Handshake, acceptance, parse, refusal
from tests.relay.raw import HEADERS, head


def test_a_good_one_is_taken_apart() -> None:
    found = parse(head("/ws/alerts?last=1&status=a%20b", HEADERS | {"X-Many": "a"}))
    assert isinstance(found, Handshake)
    assert (found.path, found.query) == ("/ws/alerts", "last=1&status=a%20b")
    assert found.headers["x-many"] == "a"


def test_a_list_may_be_given_in_several_lines() -> None:
    text = head("/", HEADERS)[:-2] + b"a: 1\r\nA:2 \r\n\r\n"
    found = parse(text)
    assert found is not None
    assert found.headers["a"] == "1, 2"


@pytest.mark.parametrize(
    "request_head",
    [
        head("/", HEADERS, "POST {} HTTP/1.1"),
        head("/", HEADERS, "GET {} HTTP/1.0"),
        head("/", HEADERS | {"Upgrade": "h2c"}),
        head("/", HEADERS | {"Connection": "close"}),
        head("/", HEADERS | {"Sec-WebSocket-Version": "12"}),
        head("/", HEADERS | {"Sec-WebSocket-Key": "AAAA"}),
        head("/", HEADERS | {"Sec-WebSocket-Key": "!" * 24}),
        head("/", HEADERS)[:-2] + b"host: b\r\n\r\n",
    ],
)
def test_what_is_not_plainly_right_is_left_alone(request_head: bytes) -> None:
    assert parse(request_head) is None


def test_the_answer_is_that_of_the_rfc() -> None:
    lines = acceptance("dGhlIHNhbXBsZSBub25jZQ==", "relay.v1").split(b"\r\n")
    assert lines == [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        b"Sec-WebSocket-Protocol: relay.v1",
        b"",
        b"",
    ]
    assert b"Protocol:" not in acceptance("dGhlIHNhbXBsZSBub25jZQ==", None)


def test_a_refusal_ends_the_connection() -> None:
    head, _, body = refusal(HTTPStatus.FORBIDDEN, "because, näher").partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert body.decode() == "because, näher\n"
    assert b"Content-Length: %d" % len(body) in lines
    assert lines[0] == b"HTTP/1.1 403 Forbidden"
    assert b"Connection: close" in lines
