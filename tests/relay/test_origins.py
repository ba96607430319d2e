"""Which web pages may use the relay."""

import pytest

from relay.origins import allowing, is_addressed_locally, is_foreign

HOST = "relay.example:8003"


LISTED = ["https://app.example/", "http://localhost:*", "http://[::1]:*"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://relay.example:8003",
        "http://RELAY.example:8003",
        "https://app.example",
        "http://localhost:3000",
        "http://localhost",
        "http://LOCALHOST:5173",
        "http://[::1]:8080",
    ],
)
def test_own_pages_and_listed_ones_are_allowed(origin: str) -> None:
    assert allowing(LISTED)(origin, HOST)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://localhost:3000",
        "http://127.0.0.1:3000",
        "http://localhost.evil.example",
        "http://evil.example/localhost",
        "http://evil.example@localhost:1/",
        "http://relay.example",
        "http://[::1",
        "http://2130706433",
        "file://localhost",
        "http://localhost:*",
        "null",
        "",
    ],
)
def test_other_pages_are_not(origin: str) -> None:
    assert not allowing(LISTED)(origin, HOST)


def test_without_a_list_only_the_relays_own_pages_are_allowed() -> None:
    assert allowing()("http://127.0.0.1:8003", "127.0.0.1:8003")
    assert not allowing()("http://localhost:3000", "127.0.0.1:8003")


def test_a_request_without_origin_is_foreign_when_the_browser_says_it_crosses_sites() -> None:
    allows = allowing()
    assert is_foreign({"sec-fetch-site": "cross-site"}, allows)
    assert not is_foreign({"sec-fetch-site": "same-origin"}, allows)
    assert not is_foreign({"sec-fetch-site": "none"}, allows)
    assert not is_foreign({}, allows)


def test_the_origin_outranks_what_the_browser_says_of_sites() -> None:
    allows = allowing(["http://localhost:*"])
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
