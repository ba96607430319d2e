"""Connection limits and rate limits (token buckets). Pure: the caller brings the time."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

from relay.access.addresses import parse

THIS_MACHINE: Final = "this machine"
SPARE_SOCKETS: Final = 32  # of one address, beside its WebSockets: for commands, and for refusals
MOST_RATES: Final = 20_000  # addresses whose rate is remembered; the quietest are forgotten first


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one process.

    Attributes:
        connections: WebSocket connections in all.
        per_address: Connections from one address block.
        per_user: Connections of one user.
        rate_per_address: New connections per second from one address block.
        burst_per_address: Of these, at once.
        messages_per_second: Client messages per second of one connection.
        message_burst: Of these, at once.
    """

    connections: int = 12_000
    per_address: int = 200
    per_user: int = 50
    rate_per_address: float = 20.0
    burst_per_address: int = 100
    messages_per_second: float = 5.0
    message_burst: int = 50


class LimitReached(Exception):
    """A limit is reached; `status` is the HTTP answer, `retry_seconds` goes into Retry-After."""

    def __init__(self, text: str, *, status: int, retry_seconds: int) -> None:
        super().__init__(text)
        self.status: Final = status
        self.retry_seconds: Final = retry_seconds


@dataclass(slots=True)
class TokenBucket:
    """Token bucket."""

    left: float
    at: float

    def take(self, now: float, rate: float, most: float, count: int = 1) -> bool:
        """Take `count` tokens; false, and nothing taken, when there are fewer.

        Args:
            now: Seconds of any clock.
            rate: Tokens added per second.
            most: Capacity of the bucket.
            count: Tokens wanted.
        """
        self.left = min(most, self.left + max(0.0, now - self.at) * rate)
        self.at = now
        if self.left < count:
            return False
        self.left -= count
        return True


class RateLimiter:
    """A token bucket per key, with `rate` per second and `burst` at once.

    Beyond `MOST_RATES` keys the least recently used are dropped.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets = OrderedDict[str, TokenBucket]()

    def take(self, place: str, now: float) -> bool:
        """Take one token of that key; false when there is none."""
        bucket = self._buckets.get(place)
        if bucket is None:
            bucket = self._buckets[place] = TokenBucket(float(self._burst), now)
            if len(self._buckets) > MOST_RATES:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(place)
        return bucket.take(now, self._rate, self._burst)

    def give_back(self, place: str) -> None:
        """Return a token to that key, which it did not use."""
        bucket = self._buckets.get(place)
        if bucket is not None:
            bucket.left = min(self._burst, bucket.left + 1)


@dataclass(slots=True)
class ConnectionLimiter:
    """Limits WebSocket connections by address block and by user.

    The rate from this machine is not limited: its connections are local programs, or come through
    a proxy that does not say for whom.
    """

    limits: Limits
    total: int = 0
    _by_address: Counter[str] = field(default_factory=Counter)
    _by_user: Counter[str] = field(default_factory=Counter)
    _rates: RateLimiter = field(init=False)

    def __post_init__(self) -> None:
        self._rates = RateLimiter(self.limits.rate_per_address, self.limits.burst_per_address)

    def enter(self, address: str, now: float) -> str:
        """Count a connection and return the address block that `leave` has to be given.

        Raises:
            LimitReached: It would be one too many, and was not counted.
        """
        place, limits = address_block(address), self.limits
        if place != THIS_MACHINE and not self._rates.take(place, now):
            raise LimitReached(
                "too many connections a second from here", status=429, retry_seconds=5
            )
        if self._by_address[place] >= limits.per_address:
            raise LimitReached("too many connections from here", status=429, retry_seconds=30)
        if self.total >= limits.connections:
            raise LimitReached("the relay is full", status=503, retry_seconds=10)
        self.total += 1
        self._by_address[place] += 1
        return place

    def leave(self, place: str) -> None:
        """Undo what `enter` did."""
        self.total -= 1
        _decrement(self._by_address, place)

    def sign_in(self, user: str) -> None:
        """Count a connection of that user.

        Raises:
            LimitReached: It would be one too many, and was not counted.
        """
        if self._by_user[user] >= self.limits.per_user:
            raise LimitReached("too many connections of this user", status=429, retry_seconds=30)
        self._by_user[user] += 1

    def sign_out(self, user: str) -> None:
        """Undo what `sign_in` did."""
        _decrement(self._by_user, user)


class SocketLimiter:
    """Limits accepted sockets by peer address, before anything was received.

    There is room for a few more than for WebSocket connections, so that a client over that limit is
    told. Proxies speak for others and are not limited here.
    """

    def __init__(self, per_address: int, is_proxy: Callable[[str], bool]) -> None:
        self._most: Final = per_address + SPARE_SOCKETS
        self._is_proxy: Final = is_proxy
        self._by_address = Counter[str]()

    def come(self, address: str) -> str:
        """Count a socket and return the address that `leave` has to be given.

        Raises:
            LimitReached: It would be one too many, and was not counted.
        """
        place = address_block(address)
        if self._by_address[place] >= self._most and not self._is_proxy(address):
            raise LimitReached(
                f"{self._most} connections from {place}", status=429, retry_seconds=30
            )
        self._by_address[place] += 1
        return place

    def leave(self, place: str) -> None:
        """Undo what `come` did."""
        _decrement(self._by_address, place)


@lru_cache(maxsize=4096)
def address_block(address: str) -> str:
    """Return what counts as one client host: an IPv4 address, or the /64 of an IPv6 address."""
    parsed = parse(address)
    if parsed is None:
        return address
    if parsed.is_loopback:
        return THIS_MACHINE
    if isinstance(parsed, IPv6Address):
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)


def _decrement(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
