"""Where a request comes from, as far as a trusted proxy says. Pure.

Each proxy appends the address that it saw. Read from the right, everything up to and with the
first address that is no trusted proxy is true; what stands left of it may be made up.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network

MAX_HOPS: Final = 32
_FOR: Final = re.compile(r'for=("[^"]*"|[^;,\s]*)', re.IGNORECASE)
_MAPPED: Final = IPv6Network("::ffff:0:0/96")


def networks(words: Iterable[str]) -> tuple[Network, ...]:
    """The networks that are named, where an address is one by itself; those of IPv4 addresses in
    IPv6 form are networks of IPv4.

    Raises:
        ValueError: A word is neither an address nor a network, or one of more than IPv6 addresses.
    """
    return tuple(_plain(ip_network(word, strict=False)) for word in words)


def _plain(network: Network) -> Network:
    if isinstance(network, IPv4Network) or not network.overlaps(_MAPPED):
        return network
    first = network.network_address.ipv4_mapped
    if first is None or network.prefixlen < _MAPPED.prefixlen:
        raise ValueError(f"{network} covers all IPv4 addresses: list networks of IPv4 as such")
    return IPv4Network((first, network.prefixlen - _MAPPED.prefixlen))


def parse(address: str) -> IPv4Address | IPv6Address | None:
    """The address without its zone, as IPv4 where IPv6 only carries that; None if it is none."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed


@dataclass(frozen=True, slots=True)
class Proxies:
    """Trusted proxies and the header in which they name the client.

    `forwarded` is read as RFC 7239, any other header as a list of addresses. Other headers are
    ignored, since proxies pass on what clients send in them."""

    trusted: tuple[Network, ...] = ()
    header: str = "x-forwarded-for"  # in lower case

    def client(self, peer: str, headers: Mapping[str, str]) -> str:
        """The address of the client that `peer`, the other end of the connection, speaks for;
        `headers` by name in lower case, one given several times joined by commas.

        An address of this machine is never taken from a header: it is `peer`'s or nobody's.
        """
        if not self.trusts(peer) or self.header not in headers:
            return peer
        value, address = headers[self.header], peer
        listed = [hop.strip() for hop in value.split(",")]
        hops = _forwarded(listed) if self.header == "forwarded" else listed
        for hop in hops[: -MAX_HOPS - 1 : -1]:
            named = _address(hop)
            if named is None:
                return address  # the last one who told the truth hides it, or nobody did
            trusted = self.trusts(str(named))
            if not named.is_loopback:
                address = str(named)
            if not trusted:
                return address
        return address

    def trusts(self, address: str) -> bool:
        """Whether the address is that of a proxy."""
        parsed = parse(address)
        return parsed is not None and any(
            parsed.version == each.version and parsed in each for each in self.trusted
        )


def _forwarded(elements: Iterable[str]) -> list[str]:
    found = map(_FOR.search, elements)
    return ["" if named is None else named.group(1).strip('"') for named in found]


def _address(hop: str) -> IPv4Address | IPv6Address | None:
    """The address in `1.2.3.4`, `1.2.3.4:5`, `[2001::1]`, `[2001::1]:5` or `2001::1`."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    return parse(hop)
