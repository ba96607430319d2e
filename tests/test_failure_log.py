"""Relay and worker log why something fails when it begins and when the cause changes."""

import pytest

import relay.logs
import worker.logs

EACH = pytest.mark.parametrize(
    "log", [relay.logs.FailureLog, worker.logs.FailureLog], ids=["relay", "worker"]
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@EACH
def test_a_cause_is_logged_once_and_another_one_too(log: type[relay.logs.FailureLog]) -> None:
    clock = Clock()
    failures = log(clock)
    assert failures.failed("All connection attempts failed")
    for _ in range(100):
        clock.now += 60
        assert not failures.failed("All connection attempts failed")
    assert failures.failed("Supabase does not accept the key")
    clock.now += 60
    assert not failures.failed("Supabase does not accept the key")


@EACH
def test_it_begins_anew_after_a_success(log: type[relay.logs.FailureLog]) -> None:
    failures = log(Clock())
    assert not failures.worked()
    assert failures.failed("away")
    assert failures.worked()
    assert not failures.worked()
    assert failures.failed("away")


@EACH
def test_causes_that_take_turns_fill_no_log(log: type[relay.logs.FailureLog]) -> None:
    clock = Clock()
    failures, logged = log(clock), 0
    for second in range(86_400):
        clock.now += 1
        logged += failures.failed(f"request {second} failed")
    assert 10 < logged < 160


@EACH
def test_a_cause_that_comes_within_the_pause_is_logged_after_it(
    log: type[relay.logs.FailureLog],
) -> None:
    clock = Clock()
    failures = log(clock)
    assert failures.failed("away")
    clock.now += 1
    assert not failures.failed("refused")
    clock.now += 10
    assert failures.failed("refused")


@EACH
def test_how_long_ago_a_token_expired_makes_no_other_cause(
    log: type[relay.logs.FailureLog],
) -> None:
    clock = Clock()
    failures = log(clock)
    assert failures.failed("Token has expired 5 seconds ago")
    clock.now += 60
    assert not failures.failed("Token has expired 65 seconds ago")
    assert failures.failed("HTTP 401")
    clock.now += 60
    assert failures.failed("HTTP 503")
