"""Whose address counts behind a proxy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.access.addresses import client, networks

PROXIES = networks(["10.0.0.0/8", "192.0.2.7", "2001:db8:ffff::/48"])


@pytest.mark.parametrize(
    ("peer", "listed", "found"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # nobody that we trust speaks
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),  # the client made up the first
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),  # likewise, in two headers
        ("10.0.0.1", ["198.51.100.1, 192.0.2.7"], "198.51.100.1"),  # two proxies
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::5]:80"], "2001:db8::5"),
        ("10.0.0.1", ["2001:db8::5"], "2001:db8::5"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [", ".join(["198.51.100.1"] + ["10.0.0.2"] * 40)], "10.0.0.2"),
    ],
)
def test_x_forwarded_for_counts_as_far_as_trusted_proxies_wrote_it(
    peer: str, listed: list[str], found: str
) -> None:
    assert client(peer, [], listed, PROXIES) == found


@pytest.mark.parametrize(
    ("forwarded", "found"),
    [
        (["for=198.51.100.1"], "198.51.100.1"),
        (['for="[2001:db8::5]:4711";proto=https'], "2001:db8::5"),
        (["for=6.6.6.6, for=198.51.100.1;by=10.0.0.1"], "198.51.100.1"),
        (["proto=https;FOR=198.51.100.1"], "198.51.100.1"),
        (["for=_hidden"], "10.0.0.1"),
        (["proto=https"], "10.0.0.1"),
    ],
)
def test_forwarded_outranks_x_forwarded_for(forwarded: list[str], found: str) -> None:
    assert client("10.0.0.1", forwarded, ["6.6.6.6"], PROXIES) == found


def test_headers_are_ignored_without_a_configured_proxy() -> None:
    assert client("10.0.0.1", ["for=6.6.6.6"], ["6.6.6.6"], ()) == "10.0.0.1"


@given(st.lists(st.text(max_size=60), max_size=4), st.lists(st.text(max_size=60), max_size=4))
def test_whatever_the_headers_hold_an_address_comes_out(
    forwarded: list[str], listed: list[str]
) -> None:
    assert client("10.0.0.1", forwarded, listed, PROXIES).count(" ") == 0


def test_a_word_that_is_no_network_is_named() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        networks(["nonsense"])
