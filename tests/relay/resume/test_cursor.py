"""Cursors: what is signed comes back, everything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.resume.cursor import (
    MAX_CURSOR_BYTES,
    NOWHERE,
    Cursor,
    CursorIssuer,
    InvalidCursor,
    Signer,
    Unresumable,
    _base64,
    bound,
)
from relay.stream.broker import Broker
from relay.stream.change import ALERTS, HOTSPOTS
from relay.stream.filters import Filter
from relay.stream.hub import Hub
from relay.stream.snapshot import Snapshot
from relay.upstream.heartbeat import Identity

SIGNER = Signer("key")
CRITICAL = Filter.of(HOTSPOTS, {"severity": frozenset({"critical"})})
CURSOR = Cursor(
    snapshot=Snapshot(90, 120, frozenset({90, 100})),
    epoch="7771138252333731916.00000001",
    instance="c849101d-771a-421e-9df5-729c9f95a7ff",
    beat=12,
    endpoint="hotspots",
    filter=bound(CRITICAL),
    issued=1000,
    seq=4711,
)


def signed(cursor: Cursor) -> str:
    return SIGNER.sign(cursor)


def test_a_relay_with_the_same_key_understands_it() -> None:
    assert Signer("key").read(signed(CURSOR)) == CURSOR


def test_one_from_before_it_had_a_seq_is_understood() -> None:
    body = _base64(
        b'[1,"90:120:90,100","7771138252333731916.00000001",'
        b'"c849101d-771a-421e-9df5-729c9f95a7ff",12,"hotspots","'
        + bound(CRITICAL).encode()
        + b'",1000]'
    )
    text = f"{body}.{SIGNER._signature(body)}"
    assert SIGNER.read(text) == CURSOR._replace(seq=NOWHERE)


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


@given(st.integers(0, 3000), st.integers(1, 2**62))
def test_with_too_many_running_transactions_it_covers_less(count: int, first: int) -> None:
    running = frozenset(range(first, first + 2 * count, 2))
    whole = Snapshot(first, first + 2 * count, running)
    text = SIGNER.sign(CURSOR._replace(snapshot=whole))
    assert len(text) <= MAX_CURSOR_BYTES
    read = SIGNER.read(text)
    assert whole.covers(read.snapshot)
    assert count > 100 or read.snapshot == whole
    assert read._replace(snapshot=CURSOR.snapshot) == CURSOR


def issuer(now: float = 1000, key: str = "key") -> CursorIssuer:
    return CursorIssuer(key, Identity("i"), Broker(Hub()), clock=lambda: now, seconds=60)


def test_a_good_cursor_is_read() -> None:
    assert issuer().read(signed(CURSOR), CRITICAL) == CURSOR


@pytest.mark.parametrize(
    ("presented", "wanted", "now", "reason"),
    [
        (signed(CURSOR), Filter(HOTSPOTS), 1000, "mismatch"),
        (signed(CURSOR), Filter(ALERTS), 1000, "mismatch"),
        (signed(CURSOR), CRITICAL, 1061, "expired"),
        ("x.y", CRITICAL, 1000, "invalid"),
    ],
)
def test_why_another_one_is_not(presented: str, wanted: Filter, now: float, reason: str) -> None:
    with pytest.raises(Unresumable) as refused:
        issuer(now).read(presented, wanted)
    assert refused.value.reason == reason


def test_filters_that_read_alike_are_not_the_same() -> None:
    one = Filter.of(HOTSPOTS, {"entity": frozenset({"a&status=active"})})
    other = Filter.of(HOTSPOTS, {"entity": frozenset({"a"}), "status": frozenset({"active"})})
    assert str(one) == str(other)
    assert bound(one) != bound(other)


def test_who_handed_it_out_knows_its_own() -> None:
    own = CURSOR._replace(instance="i", beat=0)
    assert issuer().is_own(own)
    assert not issuer().is_own(own._replace(beat=1))
    assert not issuer().is_own(CURSOR)
