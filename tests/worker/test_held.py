"""Keys that a scan holds between its batches: never other than they are stored."""

from __future__ import annotations

from worker.detection.observation import Observation, Rules
from worker.detection.series import Reading
from worker.events import Key
from worker.held import HeldKeys
from worker.watched import Moment, WatchedKey

A, B = Key("A", "supplier", "factory"), Key("B", "supplier", "factory")


def of(*keys: Key) -> dict[Key, WatchedKey]:
    return {key: WatchedKey(key) for key in keys}


def test_what_was_taken_out_and_not_stored_is_read_again() -> None:
    """Its commit has failed: it is not as it was read any more."""
    held = HeldKeys()
    held.put(of(A, B))
    assert set(held.take([A]) or {}) == {A}
    assert held.take([A]) is None
    assert set(held.take([B]) or {}) == {B}


def test_a_key_that_is_new_is_not_waited_for() -> None:
    assert HeldKeys().take([A]) == {}


def test_a_key_that_a_pass_has_written_is_read_again() -> None:
    held = HeldKeys()
    held.put(of(A))
    held.forget(A)
    assert held.take([A]) is None
    held.forget(B)  # of which no batch had an event so far
    assert held.take([B]) is None


def test_the_keys_that_were_stored_last_are_held() -> None:
    held = HeldKeys(most=1)
    held.put(of(A))
    held.put(of(B))
    assert set(held.take([B]) or {}) == {B}
    assert held.take([A]) is None


def test_a_key_asks_once_for_the_folding_anew_of_its_past() -> None:
    watched = WatchedKey(A)
    for number, time in enumerate((2e9, 1e9)):  # out of order while it is warming
        seen = Observation(time, 10.0, 1.0)
        watched.take(Moment(number, time), Reading(number, "primary", "t", "", seen), Rules(), time)
    assert watched.wants_rebuild()
    HeldKeys().put({A: watched})
    assert not watched.wants_rebuild()
    assert watched.detectors.changed() == {}
