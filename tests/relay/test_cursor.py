"""Cursors: what is signed comes back, everything else is refused."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.changes.endpoints import ALERTS, HOTSPOTS
from relay.changes.filters import Filter
from relay.changes.snapshot import Snapshot
from relay.clients.cursor import MAX_BYTES, Cursor, InvalidCursor, Signer, refusal

SIGNER = Signer("key")
CURSOR = Cursor(
    snapshot=Snapshot(90, 120, frozenset({90, 100})),
    epoch="7771138252333731916.00000001",
    instance="c849101d-771a-421e-9df5-729c9f95a7ff",
    beat=12,
    endpoint="hotspots",
    filter="severity=critical",
)
CRITICAL = Filter.of(HOTSPOTS, {"severity": frozenset({"critical"})})


def signed(cursor: Cursor) -> str:
    text = SIGNER.sign(cursor)
    assert text is not None
    return text


def test_a_relay_with_the_same_key_understands_it() -> None:
    assert Signer("key").read(signed(CURSOR)) == CURSOR


def test_another_key_does_not() -> None:
    with pytest.raises(InvalidCursor):
        Signer("other").read(signed(CURSOR))


@given(st.integers(0, 10_000), st.characters(codec="utf-8"))
def test_a_changed_cursor_is_invalid(place: int, character: str) -> None:
    text = signed(CURSOR)
    place %= len(text)
    changed = text[:place] + character + text[place + 1 :]
    if changed != text:
        with pytest.raises(InvalidCursor):
            SIGNER.read(changed)


@given(st.text(max_size=200))
def test_any_other_text_is_invalid(text: str) -> None:
    with pytest.raises(InvalidCursor):
        SIGNER.read(text)


def test_a_cursor_that_would_be_too_long_is_not_given_out() -> None:
    running = frozenset(range(1_000_000, 1_002_000, 2))
    long = dataclasses.replace(CURSOR, snapshot=Snapshot(1_000_000, 2_000_000, running))
    assert SIGNER.sign(long) is None
    assert len(signed(CURSOR)) < 400 < MAX_BYTES


def test_the_reason_of_a_reset() -> None:
    text = signed(CURSOR)
    assert refusal(SIGNER, text, CRITICAL, CURSOR.epoch) == "expired"
    assert refusal(SIGNER, text, CRITICAL, None) == "expired"
    assert refusal(SIGNER, text, CRITICAL, "8.00000001") == "epoch"
    assert refusal(SIGNER, text, Filter(HOTSPOTS), CURSOR.epoch) == "mismatch"
    assert refusal(SIGNER, text, Filter(ALERTS), CURSOR.epoch) == "mismatch"
    assert refusal(SIGNER, "x.y", CRITICAL, CURSOR.epoch) == "invalid"
