"""Where a request comes from, as far as a trusted proxy says. Pure.

Each proxy appends the address that it saw. Read from the right, everything up to and with the
first address that is no trusted proxy is true; what stands left of it may be made up.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

Network = IPv4Network | IPv6Network

MAX_HOPS: Final = 32
_FOR: Final = re.compile(r'for=("[^"]*"|[^;,\s]*)', re.IGNORECASE)


def networks(words: Iterable[str]) -> tuple[Network, ...]:
    """The networks that are named, where an address is one by itself.

    Raises:
        ValueError: a word is neither an address nor a network.
    """
    return tuple(ip_network(word, strict=False) for word in words)


def parse(address: str) -> IPv4Address | IPv6Address | None:
    """The address without its zone, as IPv4 where IPv6 only carries that; None if it is none."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed


def client(
    peer: str,
    forwarded: Sequence[str],
    x_forwarded_for: Sequence[str],
    trusted: Sequence[Network],
) -> str:
    """The address of the client that `peer`, the other end of the connection, speaks for.

    `forwarded` and `x_forwarded_for` are the values of these headers, in their order; the second
    counts only without the first. Without a trusted proxy both are ignored.
    """
    if not trusted or not _is_trusted(peer, trusted):
        return peer
    hops = _forwarded(forwarded) if forwarded else _listed(x_forwarded_for)
    address = peer
    for hop in hops[: -MAX_HOPS - 1 : -1]:
        named = _address(hop)
        if named is None:
            return address  # the last one who told the truth hides it, or nobody did
        address = named
        if not _is_trusted(address, trusted):
            return address
    return address


def _forwarded(values: Sequence[str]) -> list[str]:
    elements = [element for value in values for element in value.split(",")]
    found = []
    for element in elements:
        named = _FOR.search(element)
        found.append(named.group(1).strip('"') if named else "")
    return found


def _listed(values: Sequence[str]) -> list[str]:
    return [hop.strip() for value in values for hop in value.split(",")]


def _address(hop: str) -> str | None:
    """The address in `1.2.3.4`, `1.2.3.4:5`, `[2001::1]`, `[2001::1]:5` or `2001::1`."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        return str(ip_address(hop))
    except ValueError:
        return None


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    parsed = parse(address)
    return parsed is not None and any(
        parsed.version == each.version and parsed in each for each in trusted
    )
