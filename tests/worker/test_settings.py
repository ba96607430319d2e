import pytest

from worker.settings import VARIABLES, Settings, SettingsError, misspelt
from worker.severity import Thresholds

ENV = {"SUPABASE_URL": "http://127.0.0.1:8010/", "SUPABASE_SECRET_KEY": "sb_secret_x"}


def test_two_variables_are_enough() -> None:
    settings = Settings.from_env(ENV)
    assert settings.supabase_url == "http://127.0.0.1:8010"
    assert settings.realtime_url == "http://127.0.0.1:8010/realtime/v1"
    assert (settings.scan_seconds, settings.poll_seconds) == (300, 5)
    assert settings.thresholds == Thresholds(1.1, 1.3, 1.5)


@pytest.mark.parametrize("name", ["SUPABASE_URL", "SUPABASE_SECRET_KEY"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_variable_is_named(name: str, value: str | None) -> None:
    env = {key: text for key, text in ENV.items() if key != name}
    if value is not None:
        env[name] = value
    with pytest.raises(SettingsError, match=f"{name} is not set"):
        Settings.from_env(env)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SUPABASE_URL", "localhost:8010"),
        ("SUPABASE_URL", "https://"),
        ("SUPABASE_URL", "http://127.0.0.1:80100"),
        ("WORKER_REALTIME_URL", "nowhere"),
        ("WORKER_SCAN_SECONDS", "0"),
        ("WORKER_SCAN_SECONDS", "nan"),
        ("WORKER_POLL_SECONDS", "five"),
        ("WORKER_LEASE_SECONDS", "1.5"),
        ("WORKER_BATCH_EVENTS", "4001"),
        ("WORKER_INFO_RATIO", "0.8"),
        ("WORKER_WARN_RATIO", "1.1"),
        ("WORKER_CRITICAL_RATIO", "1.2"),
        ("WORKER_LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_env(ENV | {name: value})


def test_the_key_shows_neither_in_the_settings_nor_in_errors() -> None:
    assert "sb_secret_x" not in repr(Settings.from_env(ENV))


@pytest.mark.parametrize("key", ["sb_secret_\u00e9", "sb_secret x", "sb_secret\nx"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(SettingsError, match="SUPABASE_SECRET_KEY") as refused:
        Settings.from_env(ENV | {"SUPABASE_SECRET_KEY": key})
    assert key not in str(refused.value)


def test_every_default_is_valid_and_every_variable_explained() -> None:
    for variable in VARIABLES:
        assert variable.help
        if variable.default is not None:
            variable.read({})


def test_a_name_that_is_nearly_a_variables_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"WORKER_POLL_SECOND is not .* is WORKER_POLL_SECONDS"):
        Settings.from_env(ENV | {"WORKER_POLL_SECOND": "1"})
    assert Settings.from_env(ENV | {"WORKER_SERVICE_HOST": "10.0.0.1"})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SUPABSE_URL", "SUPABASE_URL"),
        ("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEY"),
        ("WORKER_POLL_SEC", "WORKER_POLL_SECONDS"),
        ("WORKER_SUPABASE_URL", "SUPABASE_URL"),
        ("WROKER_TIMEZONE", "WORKER_TIMEZONE"),
        ("GRID_COUNTY", "GRID_COUNTRY"),
        ("FACTOR_FILE", "FACTORS_FILE"),
    ],
)
def test_a_name_that_is_read_by_nothing_is_told_with_the_one_that_is_meant(
    name: str, meant: str
) -> None:
    assert misspelt({name: "1"}) == [f"nothing reads {name}: is {meant} meant?"]
    assert misspelt({name: "1", meant: "given"}) == []  # then it is for something else


def test_names_of_ours_and_of_others_are_no_misspelling() -> None:
    ours = {variable.name: "" for variable in VARIABLES}
    of_kubernetes = {"WORKER_SERVICE_HOST": "10.0.0.1", "WORKER_PORT": "tcp://10.0.0.1:80"}
    others = ("HOSTNAME", "RELAY_AUTH", "SUPABASE_PUBLISHABLE_KEY", "SUPABASE_JWT_SECRET")
    assert misspelt(ours | of_kubernetes | dict.fromkeys(others, "x")) == []
