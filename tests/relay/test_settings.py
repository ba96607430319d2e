"""What can be set, and what a wrong value is answered with."""

import pytest

from relay.errors import SettingsError
from relay.settings import VARIABLES, Settings

ENV = {"SUPABASE_URL": "http://127.0.0.1:8010/", "SUPABASE_SECRET_KEY": "sb_secret_x"}


def test_two_variables_are_enough() -> None:
    settings = Settings.from_env(ENV)
    assert settings.supabase_url == "http://127.0.0.1:8010"
    assert settings.realtime_url == "http://127.0.0.1:8010/realtime/v1"
    assert (settings.host, settings.port) == ("127.0.0.1", 8003)
    assert settings.catch_up_seconds == 5


def test_keys_and_tokens_stay_out_of_the_repr() -> None:
    secrets = {
        variable.name: f"very-secret-{number}"
        for number, variable in enumerate(VARIABLES)
        if variable.secret
    }
    assert "very-secret" not in repr(Settings.from_env(ENV | secrets))


def test_a_key_of_its_own_outranks_the_secret_key() -> None:
    assert Settings.from_env(ENV | {"RELAY_SUPABASE_KEY": "own"}).supabase_key == "own"


def test_arguments_outrank_the_environment() -> None:
    settings = Settings.from_env(ENV | {"HOST": "::1", "PORT": "1"}, host="127.0.0.2", port=0)
    assert (settings.host, settings.port) == ("127.0.0.2", 0)


@pytest.mark.parametrize("name", ["SUPABASE_URL", "SUPABASE_SECRET_KEY"])
@pytest.mark.parametrize("value", ["", "  "])
def test_a_missing_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is not set"):
        Settings.from_env(ENV | {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SUPABASE_URL", "localhost:8010"),
        ("SUPABASE_URL", "http://127.0.0.1:80100"),
        ("RELAY_REALTIME_URL", "ws://127.0.0.1"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("RELAY_LIVE", "polling"),
        ("RELAY_CATCH_UP_SECONDS", "0"),
        ("RELAY_CATCH_UP_SECONDS", "nan"),
        ("RELAY_MAX_BEHIND_BYTES", "1"),
    ],
)
def test_a_bad_value_is_named_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is '{value}'"):
        Settings.from_env(ENV | {name: value})


@pytest.mark.parametrize(
    "name",
    ["SUPABASE_SECRET_KEY", "SUPABASE_PUBLISHABLE_KEY", "RELAY_SUPABASE_KEY", "RELAY_LOCAL_TOKEN"],
)
@pytest.mark.parametrize("value", ["key\u00e9", "a key", "key\nkey"])
def test_a_secret_that_no_header_can_carry_is_refused_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as refused:
        Settings.from_env(ENV | {name: value})
    assert value not in str(refused.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "::", "example.org"])  # noqa: S104
def test_an_address_that_others_reach_is_refused_with_the_reason(host: str) -> None:
    with pytest.raises(SettingsError, match="access control is not there yet"):
        Settings.from_env(ENV, host=host)


def test_access_control_that_is_not_there_cannot_be_required() -> None:
    with pytest.raises(SettingsError, match="RELAY_AUTH"):
        Settings.from_env(ENV | {"RELAY_AUTH": "required"})
