"""Keys that expire are told in time."""

import pytest

from emulator.identity import Keys
from relay.settings import expires_at, key_trouble

NOW = 1_800_000_000.0


def test_todays_keys_do_not_expire() -> None:
    keys = Keys.generate()
    assert expires_at(keys.secret) is None
    assert key_trouble(keys.secret, NOW) is None


def test_a_key_of_its_own_does() -> None:
    token = Keys.generate().mint("service_role", seconds=3600)
    end = expires_at(token)
    assert end is not None
    assert key_trouble(token, end - 30 * 86400) is None
    assert "expires in 60 s" in (key_trouble(token, end - 60) or "")
    assert "expired 5 s ago" in (key_trouble(token, end + 5) or "")


@pytest.mark.parametrize("key", ["", "a.b", "a.b.c", "a.!.c", "a.e30.c", "a.bnVsbA.c"])
def test_what_is_no_token_says_nothing(key: str) -> None:
    assert expires_at(key) is None
