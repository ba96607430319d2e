"""Which web pages may use the relay."""

import pytest

from relay.origins import allowing, is_addressed_locally, is_foreign

HOST = "relay.example:8003"


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:3000",
        "http://localhost",
        "https://127.0.0.1:5173",
        "http://127.9.9.9",
        "http://[::1]:8080",
        "http://LOCALHOST:3000",
        "https://relay.example:8003",
        "https://app.example",
    ],
)
def test_own_pages_pages_of_this_machine_and_listed_ones_are_allowed(origin: str) -> None:
    assert allowing(["https://app.example/"])(origin, HOST)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "http://localhost.evil.example",
        "http://evil.example/localhost",
        "http://relay.example",
        "http://[::1",
        "http://2130706433",
        "file://localhost",
        "null",
        "",
    ],
)
def test_other_pages_are_not(origin: str) -> None:
    assert not allowing(["https://app.example"])(origin, HOST)


def test_a_request_without_origin_is_foreign_when_the_browser_says_it_crosses_sites() -> None:
    allows = allowing()
    assert is_foreign({"sec-fetch-site": "cross-site"}, allows)
    assert not is_foreign({"sec-fetch-site": "same-origin"}, allows)
    assert not is_foreign({"sec-fetch-site": "none"}, allows)
    assert not is_foreign({}, allows)


def test_the_origin_outranks_what_the_browser_says_of_sites() -> None:
    allows = allowing()
    local = {"origin": "http://localhost:3000", "host": "127.0.0.1:8003"}
    assert not is_foreign({**local, "sec-fetch-site": "cross-site"}, allows)
    assert is_foreign({"origin": "null", "sec-fetch-site": "same-origin"}, allows)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost:8003", True),
        ("127.0.0.1", True),
        ("[::1]:8003", True),
        ("relay.example", False),
        ("127.0.0.1.evil.example:8003", False),
        ("[::1", False),
        ("", False),
    ],
)
def test_a_host_is_local_by_its_name_alone(host: str, local: bool) -> None:
    assert is_addressed_locally(host) is local
