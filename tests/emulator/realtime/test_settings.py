"""Settings of the emulated Realtime from the environment."""

from __future__ import annotations

import pytest

from emulator.realtime import RealtimeSettings, SettingsError


def test_without_variables_the_delays_are_those_of_the_real_server() -> None:
    settings = RealtimeSettings.from_env({"EMULATOR_POLL_MS": ""})
    assert settings == RealtimeSettings()
    assert (settings.poll_ms, settings.idle_seconds) == (100, 66)


def test_a_poll_of_zero_delivers_at_once() -> None:
    assert RealtimeSettings.from_env({"EMULATOR_POLL_MS": "0"}).poll_ms == 0


@pytest.mark.parametrize("value", ["-1", "x", "nan", "1e9"])
def test_an_unusable_value_is_refused_by_name(value: str) -> None:
    with pytest.raises(SettingsError, match="EMULATOR_POLL_MS"):
        RealtimeSettings.from_env({"EMULATOR_POLL_MS": value})


def test_without_a_variable_there_is_no_rate_limit() -> None:
    assert RealtimeSettings.from_env({}).rate_limit is None
    assert RealtimeSettings.from_env({"EMULATOR_RATE_LIMIT": "100"}).rate_limit == 100


@pytest.mark.parametrize("value", ["0", "-1", "x", "nan", "inf"])
def test_an_unusable_rate_is_refused_by_name(value: str) -> None:
    with pytest.raises(SettingsError, match="EMULATOR_RATE_LIMIT"):
        RealtimeSettings.from_env({"EMULATOR_RATE_LIMIT": value})
