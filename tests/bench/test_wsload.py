"""The load generator sees what a server really sent: nothing that it prints may flatter anybody."""

from __future__ import annotations

import random
import socket
import struct
import time
from pathlib import Path

import pytest

from tests.bench.scripted import Script, frame, load, received, row, serving, stay

pytestmark = pytest.mark.usefixtures("programs")


def sends(content: bytes) -> Script:
    """Sends that and stays."""

    def script(connection: socket.socket, number: int) -> None:
        connection.sendall(content)
        stay(connection)

    return script


def numbered(*numbers: int) -> bytes:
    return b"".join(frame(row(number)) for number in numbers)


def test_many_frames_in_one_read_all_count() -> None:
    with serving(sends(numbered(*range(500)))) as server:
        got, ready, status = load(server.port, "-c", "5", "-e", "500")
    assert (status, ready["opened"], got["msgs"], got["lat_us"]["count"]) == (0, 5, 2500, 2500)
    assert (got["gaps"], got["out_of_order"], got["missing"]) == (0, 0, 0)


def test_frames_of_all_lengths_split_anywhere_are_put_together() -> None:
    sizes = (0, 100, 200, 70_000, 3)
    content = b"".join(frame(row(number, size)) for number, size in enumerate(sizes))

    def script(connection: socket.socket, number: int) -> None:
        pieces, at = random.Random(number), 0
        while at < len(content):
            size = 1 if at < 400 else pieces.randint(1, 30_000)
            connection.sendall(content[at : at + size])
            at += size
        stay(connection)

    with serving(script) as server:
        got, _, status = load(server.port, "-c", "3", "-e", "5")
    assert (status, got["msgs"], got["gaps"], got["unmarked"]) == (0, 15, 0, 0)


def test_a_ping_between_two_fragments_is_answered() -> None:
    answers = []

    def script(connection: socket.socket, number: int) -> None:
        first = frame(row(0)[:30], fin=False) + frame(b"hi", 9)
        connection.sendall(first + frame(b"end", 0) + frame(row(1)))
        answers.append(received(connection))
        stay(connection)

    with serving(script) as server:
        got, _, status = load(server.port, "-c", "1", "-e", "2", "--linger", "0.2")
    assert (status, got["msgs"], got["pings"], answers) == (0, 2, 1, [(10, b"hi")])


def test_gaps_and_disorder_are_told_apart() -> None:
    with serving(sends(numbered(10, 11, 14, 12, 15, 15))) as server:
        got, _, _ = load(server.port, "-c", "1", "-e", "6")
    assert (got["gaps"], got["out_of_order"]) == (2, 2)


def test_what_is_missing_makes_it_fail() -> None:
    with serving(sends(numbered(0))) as server:
        got, _, status = load(server.port, "-c", "2", "-e", "3", "-t", "0.5")
    assert (status, got["end"], got["missing"], got["short_conns"]) == (1, "timeout", 4, 2)


def test_it_goes_on_until_a_number_has_come_and_sees_where_it_began() -> None:
    with serving(sends(numbered(7, 8, 9))) as server:
        whole, _, fine = load(server.port, "-c", "2", "--first", "8", "--last", "9")
        late, _, _ = load(server.port, "-c", "2", "--first", "5", "--last", "9")
        short, _, bad = load(server.port, "-c", "2", "--last", "11", "-t", "0.3")
    assert (fine, whole["gaps"], whole["next_min"], whole["next_max"]) == (0, 0, 10, 10)
    assert late["gaps"] == 4
    assert (bad, short["missing"]) == (1, 4)


def test_messages_without_a_number_can_be_left_out_and_texts_counted() -> None:
    content = frame(b'{"type":"hello"}') + numbered(0) + frame(b'{"type":"cursor"}') + numbered(1)
    with serving(sends(content)) as server:
        got, _, status = load(server.port, "-c", "2", "-e", "2", "--marked", "--count", "cursor")
    assert (status, got["msgs"], got["unmarked"], got["counted"]) == (0, 4, 4, 2)


@pytest.mark.parametrize(
    "bad",
    [
        b"\x81\x81\0\0\0\0x",  # masked
        b"\x83\x00",  # an opcode that is none
        b"\x80\x00",  # nothing to continue
        b"\xa1\x00",  # a reserved bit
        b"\xc1\x00",  # compressed, which was not offered
        b"\x89\x7e\x00\x80" + b"z" * 128,  # a long ping
        b"\x09\x00",  # a ping in fragments
        frame(b"a", fin=False) + frame(b"b"),  # a message within another one
    ],
)
def test_a_server_that_breaks_the_protocol_is_found_out(bad: bytes) -> None:
    with serving(sends(bad)) as server:
        got, _, status = load(server.port, "-c", "1", "-e", "1", "-t", "1")
    assert (status, got["proto_errors"]) == (1, 1)


def test_ends_and_close_codes_are_reported() -> None:
    def script(connection: socket.socket, number: int) -> None:
        closing = frame(struct.pack(">H", 1013), 8) if number % 2 else b""
        connection.sendall(numbered(0) + closing)

    with serving(script) as server:
        got, _, _ = load(server.port, "-c", "4", "-e", "2", "-t", "2")
    assert (got["closed_by_server"], got["close_codes"], got["missing"]) == (4, {"1013": 2}, 4)


def test_a_refused_handshake_is_no_connection() -> None:
    with serving(lambda connection, number: None, b"403 Forbidden") as server:
        got, _, status = load(server.port, "-c", "3", "-e", "1")
    assert (status, got["fail"]["http"], got["fail"]["http_status"]) == (1, 3, 403)


def test_it_subscribes_and_leaves_the_answers_out() -> None:
    said = []

    def script(connection: socket.socket, number: int) -> None:
        said.append([received(connection), received(connection)])
        connection.sendall(frame(b"0{}") + frame(b"2"))
        said[-1].append(received(connection))
        connection.sendall(frame(b"40") + numbered(0))
        stay(connection)

    subscribe = ("--send-text", "40{i}", "--send-bin", r"\x10\x00A", "--text-pong", "2=3")
    with serving(script) as server:
        options = ("-e", "1", "-u", "/p{i}", "--preamble", "2", *subscribe)
        got, _, status = load(server.port, "-c", "1", *options)
    assert said == [[(1, b"400"), (2, b"\x10\0A"), (1, b"3")]]
    assert (status, got["msgs"], got["text_pongs"]) == (0, 1, 1)
    assert server.requests[0][0].startswith(b"GET /p0 ")


def test_each_connection_has_a_word_of_its_own_as_long_as_there_are_some(tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text("one\ntwo\nthree\n")
    bring = ("--words", str(words), "-u", "/{w}", "--header", "Token: {w}", "--inflight", "1")
    with serving(sends(numbered(0))) as server:
        _, _, status = load(server.port, "-c", "4", "-e", "1", *bring)
    lines = [request.decode().splitlines() for request, _ in server.requests]
    assert status == 0
    assert [line[0].split()[1] for line in lines] == ["/one", "/two", "/three", "/one"]
    assert [line[-2] for line in lines] == [f"Token: {w}" for w in ("one", "two", "three", "one")]


def test_a_stream_of_bytes_is_searched_for_rows_across_frames() -> None:
    content = b"".join(b"MSG r 1 40\r\n" + row(number) + b"\r\n" for number in range(200))

    def script(connection: socket.socket, number: int) -> None:
        pieces, at = random.Random(number), 0
        while at < len(content):
            size = pieces.randint(1, 90)
            connection.sendall(frame(content[at : at + size], 2))
            at += size
        stay(connection)

    with serving(script) as server:
        got, _, status = load(server.port, "-c", "3", "-e", "200", "--stream")
    assert (status, got["msgs"], got["gaps"], got["lat_us"]["count"]) == (0, 600, 0, 600)


def test_a_latency_is_the_age_of_the_row_when_it_arrives() -> None:
    def script(connection: socket.socket, number: int) -> None:
        connection.sendall(frame(row(0, t=time.monotonic_ns() - 50_000_000)))
        stay(connection)

    with serving(script) as server:
        got, _, _ = load(server.port, "-c", "1", "-e", "1")
    assert got["lat_us"]["p50"] >= 50_000


def test_connections_can_be_spread_over_addresses_and_processes() -> None:
    spread = ("--src-base", "127.0.0.5", "--src-count", "3", "--procs", "3")
    with serving(sends(numbered(0))) as server:
        got, _, status = load(server.port, "-c", "12", "-e", "1", *spread)
    assert (status, got["msgs"]) == (0, 12)
    assert {host for _, host in server.requests} == {"127.0.0.5", "127.0.0.6", "127.0.0.7"}


def test_a_reader_that_stops_is_not_counted_with_the_others_and_its_end_is_seen() -> None:
    def script(connection: socket.socket, number: int) -> None:
        connection.settimeout(0.5)
        try:
            for n in range(400):
                connection.sendall(frame(row(n, 20_000)))
        except TimeoutError:
            return  # it does not read: the server gives it up
        stay(connection)

    slow = ("--slow", "25%", "--slow-rcvbuf", "4096", "--linger", "1", "--slow-drain", "4")
    with serving(script) as server:
        got, _, status = load(server.port, "-c", "8", "-e", "400", *slow)
    assert (status, got["msgs"], got["slow"]["conns"], got["slow"]["closed"]) == (0, 2400, 2, 2)
    assert got["slow"]["msgs"] < 800


def test_compressed_messages_are_counted_where_they_were_offered() -> None:
    with serving(sends(frame(b"\x01\x02\x03", compressed=True) * 4)) as server:
        got, _, status = load(server.port, "-c", "1", "-e", "4", "--deflate")
    assert (status, got["compressed"], got["unmarked"]) == (0, 4, 4)
