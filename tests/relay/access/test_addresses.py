"""Whose address counts behind a proxy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.access.addresses import Proxies, networks, parse

TRUSTED = networks(["10.0.0.0/8", "192.0.2.7", "2001:db8:ffff::/48", "127.0.0.1"])
LISTED = Proxies(TRUSTED)
RFC_7239 = Proxies(TRUSTED, "forwarded")


@pytest.mark.parametrize(
    ("peer", "listed", "found"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # nobody that we trust speaks
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),  # the client made up the first
        ("10.0.0.1", "198.51.100.1, 192.0.2.7", "198.51.100.1"),  # two proxies
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::5]:80", "2001:db8::5"),
        ("10.0.0.1", "2001:db8::5", "2001:db8::5"),
        ("10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "nonsense, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", ", ".join(["198.51.100.1"] + ["10.0.0.2"] * 40), "10.0.0.2"),
    ],
)
def test_the_header_counts_as_far_as_trusted_proxies_wrote_it(
    peer: str, listed: str | None, found: str
) -> None:
    headers = {} if listed is None else {"x-forwarded-for": listed}
    assert LISTED.client(peer, headers) == found


@pytest.mark.parametrize("local", ["127.0.0.1", "127.9.9.9", "::1", "[::1]:80", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("before", ["", "198.51.100.1, "])
def test_nobody_passes_for_this_machine_by_a_header(before: str, local: str) -> None:
    for proxies in (LISTED, Proxies(networks(["10.0.0.0/8"]))):
        found = parse(proxies.client("10.0.0.1", {"x-forwarded-for": before + local}))
        assert found is not None
        assert not found.is_loopback


def test_a_client_of_two_proxies_on_this_machine_is_found_behind_both() -> None:
    headers = {"x-forwarded-for": "6.6.6.6, 198.51.100.1, 127.0.0.1"}
    assert LISTED.client("127.0.0.1", headers) == "198.51.100.1"


@pytest.mark.parametrize(
    ("forwarded", "found"),
    [
        ("for=198.51.100.1", "198.51.100.1"),
        ('for="[2001:db8::5]:4711";proto=https', "2001:db8::5"),
        ("for=6.6.6.6, for=198.51.100.1;by=10.0.0.1", "198.51.100.1"),
        ('for="6.6.6.6, for=198.51.100.1', "198.51.100.1"),  # the client left a quote open
        ("proto=https;FOR=198.51.100.1", "198.51.100.1"),
        ("for=127.0.0.1", "10.0.0.1"),
        ("for=_hidden", "10.0.0.1"),
        ("proto=https", "10.0.0.1"),
    ],
)
def test_forwarded_counts_where_it_is_the_configured_header(forwarded: str, found: str) -> None:
    headers = {"forwarded": forwarded, "x-forwarded-for": "6.6.6.6"}
    assert RFC_7239.client("10.0.0.1", headers) == found


def test_any_other_header_counts_for_nothing() -> None:
    """Proxies pass on what clients say in it."""
    said = {"forwarded": "for=6.6.6.6", "x-real-ip": "6.6.6.6", "x-forwarded-for": "198.51.100.1"}
    assert LISTED.client("10.0.0.1", said) == "198.51.100.1"
    assert LISTED.client("10.0.0.1", {"forwarded": "for=6.6.6.6"}) == "10.0.0.1"
    assert Proxies(TRUSTED, "cf-connecting-ip").client("10.0.0.1", said) == "10.0.0.1"


def test_headers_are_ignored_without_a_configured_proxy() -> None:
    assert Proxies().client("10.0.0.1", {"x-forwarded-for": "6.6.6.6"}) == "10.0.0.1"


@given(st.text(max_size=60), st.sampled_from([LISTED, RFC_7239]))
def test_whatever_the_header_holds_an_address_comes_out(value: str, proxies: Proxies) -> None:
    assert parse(proxies.client("10.0.0.1", {proxies.header: value})) is not None


@pytest.mark.parametrize(
    ("written", "peers"),
    [
        ("::ffff:10.0.0.0/104", ["10.1.2.3", "::ffff:10.1.2.3"]),
        ("::ffff:192.0.2.7", ["192.0.2.7", "::ffff:192.0.2.7"]),
        ("10.0.0.0/8", ["10.1.2.3", "::ffff:10.1.2.3"]),
    ],
)
def test_a_network_of_ipv4_may_be_written_in_ipv6_form(written: str, peers: list[str]) -> None:
    proxies = Proxies(networks([written]))
    assert all(proxies.trusts(peer) for peer in peers)
    assert not any(proxies.trusts(peer) for peer in ("11.0.0.1", "::1", "192.0.2.8"))


@pytest.mark.parametrize("written", ["::/0", "::ffff:0:0/95", "::/64"])
def test_a_network_of_ipv6_that_covers_all_of_ipv4_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="IPv4"):
        networks([written])


def test_a_word_that_is_no_network_is_named() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        networks(["nonsense"])
