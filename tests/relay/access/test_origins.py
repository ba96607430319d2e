"""Which web pages may use the relay."""

import pytest

from relay.access.origins import allowing, check, is_addressed_locally, is_foreign

HOST = "relay.example:8003"


LISTED = [
    "https://app.example/",
    "http://localhost:*",
    "http://[::1]:*",
    "https://*.apps.example",
    "https://*.preview.example:*",
    "capacitor://localhost",
]


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
        "https://app.example:443",
        "https://one.apps.example",
        "https://one.more.apps.example",
        "https://one.preview.example:8443",
        "capacitor://localhost",
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
        "*",
        "https://apps.example",
        "https://*.apps.example",
        "https://one.apps.example:8443",
        "https://evilapps.example",
        "http://one.apps.example",
        "capacitor://elsewhere",
        "capacitor://localhost:1",
        "ionic://localhost",
    ],
)
def test_other_pages_are_not(origin: str) -> None:
    assert not allowing(LISTED)(origin, HOST)


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("https://relay.example.org", "relay.example.org", True),
        ("https://relay.example.org", "relay.example.org:443", True),
        ("https://relay.example.org:443", "relay.example.org", True),
        ("http://relay.example.org", "relay.example.org:80", True),
        ("https://relay.example.org:8443", "relay.example.org:8443", True),
        ("https://relay.example.org", "relay.example.org:80", False),
        ("http://relay.example.org", "relay.example.org:443", False),
        ("https://relay.example.org:8443", "relay.example.org", False),
        ("https://[::1]", "[::1]:443", True),
        ("http://[::1]:8003", "[::1]:8003", True),
        ("capacitor://relay.example.org", "relay.example.org", False),
    ],
)
def test_a_default_port_is_no_other_origin(origin: str, host: str, own: bool) -> None:
    assert allowing()(origin, host) is own


def test_all_pages_or_those_without_an_origin_can_be_listed() -> None:
    for origin in ("https://anywhere.example", "null", "file://", "capacitor://localhost"):
        assert allowing(["*"])(origin, HOST)
    assert allowing(["null"])("null", HOST)
    assert not allowing(["null"])("https://anywhere.example", HOST)


@pytest.mark.parametrize(
    "pattern",
    [
        "app.example",
        "https://",
        "https://app.example/path",
        "https://app.example?",
        "https://user@app.example",
        "https://a.*.example",
        "https://*",
        "https://*app.example",
        "*://app.example",
        "https://app.example:port",
        "https://app.example:123456",
        "https:app.example",
        "NULL",
        "**",
    ],
)
def test_what_no_page_can_match_is_refused_with_what_is_understood(pattern: str) -> None:
    for refuses in (check, lambda text: allowing([text])):
        with pytest.raises(ValueError, match=r"https://app\.example\.org"):
            refuses(pattern)


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
        ("127.0.0.1:8003, evil.example", False),
        ("evil.example, 127.0.0.1:8003", False),
        ("127.0.0.1.evil.example:8003", False),
        ("[::1", False),
        ("", False),
    ],
)
def test_a_host_is_local_by_its_name_alone(host: str, local: bool) -> None:
    assert is_addressed_locally(host) is local
