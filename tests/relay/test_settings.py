"""What can be set, and what a wrong value is answered with."""

import re

import jwt
import pytest

from emulator.identity import Keys
from relay.access.limits import Limits
from relay.access.policies import Scoping
from relay.errors import SettingsError
from relay.settings import GROUPS, NAMES, VARIABLES, Settings, expires_at, key_trouble
from relay.variables import misspelt

ENV = {"SUPABASE_URL": "http://127.0.0.1:8010/", "SUPABASE_SECRET_KEY": "sb_secret_x"}


def test_two_variables_are_enough() -> None:
    settings = Settings.from_env(ENV)
    assert settings.project.url == "http://127.0.0.1:8010"
    assert settings.project.realtime_url == "http://127.0.0.1:8010/realtime/v1"
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8003)
    assert settings.delivery.catch_up_seconds == 5


def test_keys_and_tokens_stay_out_of_the_repr() -> None:
    secrets = {
        variable.name: f"very-secret-{number}"
        for number, variable in enumerate(VARIABLES)
        if variable.secret
    }
    assert "very-secret" not in repr(Settings.from_env(ENV | secrets))


def test_a_key_of_its_own_outranks_the_secret_key() -> None:
    assert Settings.from_env(ENV | {"RELAY_SUPABASE_KEY": "own"}).project.key == "own"


def test_arguments_outrank_the_environment() -> None:
    settings = Settings.from_env(ENV | {"HOST": "::1", "PORT": "1"}, host="127.0.0.2", port=0)
    assert (settings.server.host, settings.server.port) == ("127.0.0.2", 0)


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
        ("SUPABASE_URL", "https://abc.supabase.co/rest/v1"),
        ("SUPABASE_URL", "https://supabase.com/dashboard/project/abc"),
        ("SUPABASE_URL", "https://user:pass@abc.supabase.co"),
        ("SUPABASE_URL", "https://abc.supabase.co?x=1"),
        ("RELAY_REALTIME_URL", "ws://127.0.0.1"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("RELAY_LIVE", "polling"),
        ("RELAY_CATCH_UP_SECONDS", "0"),
        ("RELAY_CATCH_UP_SECONDS", "nan"),
        ("RELAY_MAX_BEHIND_BYTES", "1"),
        ("RELAY_LOG_BYTES", "1000"),
        ("RELAY_LOG_BYTES", "1048576"),  # less than a client may be behind
        ("RELAY_AUTH", "maybe"),
        ("RELAY_SCOPE_COLUMN", "tenant id"),
        ("RELAY_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("RELAY_TRUSTED_PROXIES", "::/0"),
        ("RELAY_CLIENT_ADDRESS_HEADER", "X-Forwarded-For:"),
        ("RELAY_MAX_CONNECTIONS", "0"),
        ("RELAY_CONNECTS_PER_SECOND", "nan"),
    ],
)
def test_a_bad_value_is_named_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"{name} is '{value}'")):
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


PUBLIC = ["0.0.0.0", "192.168.1.2", "::", "example.org"]  # noqa: S104


@pytest.mark.parametrize("host", PUBLIC)
def test_a_relay_without_access_control_stays_on_this_machine(host: str) -> None:
    with pytest.raises(SettingsError, match="RELAY_AUTH=required"):
        Settings.from_env(ENV | {"RELAY_AUTH": "off"}, host=host)


@pytest.mark.parametrize("host", PUBLIC)
def test_with_tokens_or_on_demand_it_may_listen_anywhere(host: str) -> None:
    assert Settings.from_env(ENV, host=host).access.required
    allowed = ENV | {"RELAY_AUTH": "off", "RELAY_ALLOW_PUBLIC_WITHOUT_AUTH": "yes"}
    assert not Settings.from_env(allowed, host=host).access.required


def test_tokens_are_those_of_the_project_unless_said_otherwise() -> None:
    settings = Settings.from_env(ENV)
    assert (settings.issuer, settings.access.audience) == (
        "http://127.0.0.1:8010/auth/v1",
        "authenticated",
    )
    other = Settings.from_env(ENV | {"RELAY_JWT_ISSUER": "https://a", "RELAY_JWT_AUDIENCE": "b"})
    assert (other.issuer, other.access.audience) == ("https://a", "b")


def test_the_claim_of_a_scope_is_named_like_its_column_unless_said_otherwise() -> None:
    scoped = ENV | {"RELAY_SCOPE_COLUMN": "tenant_id"}
    assert Settings.from_env(ENV).access.scoping is None
    assert Settings.from_env(scoped).access.scoping == Scoping("tenant_id", "tenant_id")
    claimed = Settings.from_env(scoped | {"RELAY_SCOPE_CLAIM": "tenants"})
    assert claimed.access.scoping == Scoping("tenant_id", "tenants")


def test_pages_are_listed_by_patterns_that_are_understood() -> None:
    listed = "https://app.example/, https://*.example.net,capacitor://localhost"
    settings = Settings.from_env(ENV | {"RELAY_ALLOWED_ORIGINS": f"{listed}, null"})
    assert settings.server.allowed_origins == (*listed.replace(" ", "").split(","), "null")
    for bad in ("app.example", "https://a.example/path"):
        with pytest.raises(SettingsError, match=r"RELAY_ALLOWED_ORIGINS .* without a path"):
            Settings.from_env(ENV | {"RELAY_ALLOWED_ORIGINS": bad})


@pytest.mark.parametrize("everywhere", ["*", "https://a.example, null"])
def test_without_access_control_no_page_is_allowed_unseen(everywhere: str) -> None:
    variables = ENV | {"RELAY_ALLOWED_ORIGINS": everywhere}
    assert Settings.from_env(variables).server.allowed_origins
    with pytest.raises(SettingsError, match="name the origins"):
        Settings.from_env(variables | {"RELAY_AUTH": "off"})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RELAY_ALLOWED_ORIGIN", "RELAY_ALLOWED_ORIGINS"),
        ("RELAY_AUTHS", "RELAY_AUTH"),
        ("RELAY_ATUH", "RELAY_AUTH"),
        ("RELAY_MAX_CONNECTION", "RELAY_MAX_CONNECTIONS"),
        ("relay_auth", "RELAY_AUTH"),
    ],
)
def test_a_name_that_is_nearly_a_variables_is_refused(name: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} is not .* is {meant} meant"):
        Settings.from_env(ENV | {name: "off"})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SUPABSE_URL", "SUPABASE_URL"),
        ("SUPERBASE_URL", "SUPABASE_URL"),
        ("supabase_url", "SUPABASE_URL"),
        ("RELAY_SUPABASE_URL", "SUPABASE_URL"),
        ("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEY"),
        ("SUPABASE_ANON_KEY", "SUPABASE_PUBLISHABLE_KEY"),
        ("RELAY_PRT", "PORT"),
        ("RELAY_PORT", "PORT"),
        ("RELAY_HOST", "HOST"),
        ("RELAY_ORIGINS", "RELAY_ALLOWED_ORIGINS"),
        ("REALY_AUTH", "RELAY_AUTH"),
    ],
)
def test_a_name_that_is_read_by_nothing_is_told_with_the_one_that_is_meant(
    name: str, meant: str
) -> None:
    assert misspelt({name: "9000"}, NAMES) == [f"nothing reads {name}: is {meant} meant?"]
    assert misspelt({name: "9000", meant: "given"}, NAMES) == []  # then it is for something else


def test_names_of_ours_and_of_others_are_no_misspelling() -> None:
    ours = {variable.name: "" for variable in VARIABLES} | {"RELAY_TOKEN": "x"}
    others = {
        "HOSTNAME": "a", "SUPPORT": "b", "REPORT": "c", "PATH": "d", "GHOST": "e", "RELAY": "f",
        "SUPABASE_ACCESS_TOKEN": "g", "SUPABASE_DB_PASSWORD": "h", "SUPABASE_PROJECT_ID": "i",
        "RELAY_VERSION": "j", "RELAY_IMAGE": "k", "WORKER_LEASE_SECONDS": "60",
    }  # fmt: skip
    assert misspelt(ours | others, NAMES) == []


@pytest.mark.parametrize("service", ["RELAY", "RELAY_AUTH", "RELAY_LIVE", "RELAY_TLS"])
def test_what_kubernetes_sets_for_a_service_is_not_ours(service: str) -> None:
    found = {
        f"{service}_SERVICE_HOST": "10.0.0.1",
        f"{service}_SERVICE_PORT": "8003",
        f"{service}_SERVICE_PORT_WS": "8003",
        f"{service}_PORT": "tcp://10.0.0.1:8003",
        f"{service}_PORT_8003_TCP": "tcp://10.0.0.1:8003",
        f"{service}_PORT_8003_TCP_PROTO": "tcp",
        f"{service}_PORT_8003_TCP_PORT": "8003",
        f"{service}_PORT_8003_TCP_ADDR": "10.0.0.1",
        "RELAY_TOKEN": "of a user, for tail and check",
    }
    assert Settings.from_env(ENV | found) == Settings.from_env(ENV)
    assert misspelt(found, NAMES) == []


def jwt_of(role: str) -> str:
    return jwt.encode({"role": role}, "a secret of at least 32 bytes, for HS256")


PUBLISHABLE = ("sb_publishable_x", jwt_of("anon"))


@pytest.mark.parametrize("key", PUBLISHABLE)
@pytest.mark.parametrize("name", ["SUPABASE_SECRET_KEY", "RELAY_SUPABASE_KEY"])
def test_a_publishable_key_in_a_secret_ones_place_is_refused(name: str, key: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} holds the publishable") as refused:
        Settings.from_env(ENV | {name: key})
    assert key not in str(refused.value)


@pytest.mark.parametrize("key", ["sb_secret_x", jwt_of("service_role"), jwt_of("relay_reader")])
def test_a_secret_key_in_the_publishable_ones_place_is_refused(key: str) -> None:
    """The page is told that one."""
    with pytest.raises(SettingsError, match="SUPABASE_PUBLISHABLE_KEY holds a secret") as refused:
        Settings.from_env(ENV | {"SUPABASE_PUBLISHABLE_KEY": key})
    assert key not in str(refused.value)


def test_keys_of_both_kinds_in_their_places_are_taken() -> None:
    for secret in ("sb_secret_x", jwt_of("service_role")):
        for publishable in PUBLISHABLE:
            Settings.from_env(
                ENV | {"SUPABASE_SECRET_KEY": secret, "SUPABASE_PUBLISHABLE_KEY": publishable}
            )


def test_bursts_follow_the_rates() -> None:
    limits = Settings.from_env(ENV | {"RELAY_CONNECTS_PER_SECOND": "0.1"}).clients.limits
    assert (limits.rate_per_address, limits.burst_per_address) == (0.1, 1)
    assert Settings.from_env(ENV).clients.limits == Limits()


@pytest.mark.parametrize("name", ["RELAY_TLS_CERT", "RELAY_TLS_KEY"])
def test_tls_needs_both_files(name: str) -> None:
    with pytest.raises(SettingsError, match="is not set: TLS needs"):
        Settings.from_env(ENV | {name: "file.pem"})


def test_every_variable_has_one_place_a_type_and_a_help() -> None:
    names = [variable.name for variable in VARIABLES]
    assert len(names) == len(set(names)) > 30
    assert all(variable.type.name and variable.help for variable in VARIABLES)
    titles = [group.title for group in GROUPS]
    assert len(titles) == len(set(titles))


def test_defaults_are_of_the_type_that_they_are_shown_with() -> None:
    for variable in VARIABLES:
        if variable.default:
            assert str(variable.type.parse(variable.default)) in (
                variable.default, f"{variable.default}.0", variable.default.lower(), "True", "False"
            )  # fmt: skip


NOW = 1_800_000_000.0


def test_todays_keys_do_not_expire() -> None:
    keys = Keys.generate()
    assert expires_at(keys.secret) is None
    assert key_trouble(keys.secret, NOW) is None


def test_a_key_of_its_own_does() -> None:
    end = NOW  # 15 January 2027, 08:00 UTC
    token = Keys.generate().mint("service_role", exp=end)
    assert expires_at(token) == end
    assert key_trouble(token, end - 30 * 86400) is None
    assert "expires at 2027-01-15 08:00 UTC" in (key_trouble(token, end - 60) or "")
    assert "expired at 2027-01-15 08:00 UTC" in (key_trouble(token, end + 5) or "")


@pytest.mark.parametrize("key", ["", "a.b", "a.b.c", "a.!.c", "a.e30.c", "a.bnVsbA.c"])
def test_what_is_no_token_says_nothing(key: str) -> None:
    assert expires_at(key) is None


def test_bounds_are_told_as_they_can_be_written() -> None:
    with pytest.raises(SettingsError, match=r"has to be a number from 0\.001 to 1000000$"):
        Settings.from_env(ENV | {"RELAY_MESSAGES_PER_SECOND": "0"})
