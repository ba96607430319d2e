"""Frames as they go over the wire."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from relay.stream.encoding import framed, pieces, text, texts


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70_000])
def test_a_frame_is_what_the_library_makes_of_it(size: int) -> None:
    message = "é" * (size // 2) + "x" * (size % 2)
    assert len(message.encode()) == size
    assert framed(message) == Frame(Opcode.TEXT, message.encode()).serialize(mask=False)
    assert text(framed(message)) == message


@given(st.lists(st.text(max_size=300)))
def test_messages_come_out_as_they_went_in(messages: list[str]) -> None:
    encodable = [message.encode(errors="replace").decode() for message in messages]
    assert list(texts(b"".join(map(framed, messages)))) == encodable


@given(st.lists(st.binary(min_size=1, max_size=30)), st.integers(1, 60))
def test_pieces_are_full_and_in_order(frames: list[bytes], most_bytes: int) -> None:
    found = list(pieces(frames, most_bytes))
    assert b"".join(piece.data for piece in found) == b"".join(frames)
    assert sum(piece.frames for piece in found) == len(frames)
    assert all(len(piece.data) <= most_bytes or piece.frames == 1 for piece in found)
    for one, following in itertools.pairwise(found):
        assert len(one.data) + len(following.data) > most_bytes
