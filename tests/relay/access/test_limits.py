"""How many may connect, and how fast."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.access.addresses import Proxies, networks
from relay.access.limits import (
    SPARE_SOCKETS,
    ConnectionLimiter,
    LimitReached,
    Limits,
    SocketLimiter,
    TokenBucket,
    address_block,
)


def admission(**limits: float) -> ConnectionLimiter:
    return ConnectionLimiter(Limits(**limits))  # type: ignore[arg-type]


def test_an_address_may_hold_so_many_connections() -> None:
    limiter = admission(per_address=2)
    places = [limiter.enter("203.0.113.1", 0.0) for _ in range(2)]
    with pytest.raises(LimitReached) as refused:
        limiter.enter("203.0.113.1", 0.0)
    assert refused.value.status == 429
    limiter.enter("203.0.113.2", 0.0)
    limiter.leave(places[0])
    limiter.enter("203.0.113.1", 0.0)


def test_the_relay_holds_so_many_connections_in_total() -> None:
    limiter = admission(connections=2)
    limiter.enter("203.0.113.1", 0.0)
    limiter.enter("127.0.0.1", 0.0)
    with pytest.raises(LimitReached) as refused:
        limiter.enter("203.0.113.3", 0.0)
    assert refused.value.status == 503
    assert limiter.total == 2


def test_an_address_may_come_so_often_a_second() -> None:
    limiter = admission(rate_per_address=2, burst_per_address=3)
    for _ in range(3):
        limiter.leave(limiter.enter("203.0.113.1", 10.0))
    with pytest.raises(LimitReached):
        limiter.enter("203.0.113.1", 10.4)
    limiter.enter("203.0.113.1", 10.6)


LOCAL = ("127.0.0.1", "127.0.0.9", "::1", "::ffff:127.0.0.1")


def test_this_machine_may_come_as_fast_as_it_likes() -> None:
    limiter = admission(burst_per_address=1)
    for address in LOCAL:
        limiter.enter(address, 0.0)


def test_this_machine_holds_as_many_connections_as_others() -> None:
    limiter = admission(per_address=4)
    for address in LOCAL:
        limiter.enter(address, 0.0)
    with pytest.raises(LimitReached):
        limiter.enter("127.0.0.1", 0.0)


@pytest.mark.parametrize("address", ["203.0.113.1", *LOCAL])
def test_sockets_are_counted_by_address_whatever_they_say(address: str) -> None:
    socket_limiter = SocketLimiter(2, lambda address: False)
    places = [socket_limiter.come(address) for _ in range(2 + SPARE_SOCKETS)]
    with pytest.raises(LimitReached):
        socket_limiter.come(address)
    socket_limiter.come("203.0.113.2")
    socket_limiter.leave(places[0])
    socket_limiter.come(address)


def test_sockets_of_a_configured_proxy_are_not_limited() -> None:
    socket_limiter = SocketLimiter(2, Proxies(networks(["127.0.0.1"])).trusts)
    for _ in range(1000):
        socket_limiter.come("127.0.0.1")


def test_a_user_may_hold_so_many_connections() -> None:
    limiter = admission(per_user=1)
    limiter.sign_in("somebody")
    with pytest.raises(LimitReached):
        limiter.sign_in("somebody")
    limiter.sign_in("else")
    limiter.sign_out("somebody")
    limiter.sign_in("somebody")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::2:3", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:203.0.113.1", "203.0.113.1", True),
        ("203.0.113.1", "203.0.113.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("unix", "unix", True),
    ],
)
def test_the_addresses_of_one_host_count_as_one_place(one: str, other: str, same: bool) -> None:
    assert (address_block(one) == address_block(other)) is same


@given(st.lists(st.tuples(st.sampled_from(["203.0.113.1", "203.0.113.2"]), st.booleans())))
def test_every_connection_that_left_is_forgotten(steps: list[tuple[str, bool]]) -> None:
    limiter, inside = admission(per_address=3, burst_per_address=10**6), list[str]()
    for address, comes in steps:
        if comes and inside.count(address) < 3:
            inside.append(limiter.enter(address, 0.0))
        elif comes:
            with pytest.raises(LimitReached):
                limiter.enter(address, 0.0)
        elif inside:
            limiter.leave(inside.pop())
    assert limiter.total == len(inside)
    for place in inside:
        limiter.leave(place)
    assert limiter.total == 0
    assert not limiter._by_address


@given(st.lists(st.floats(0, 5), max_size=60))
def test_a_bucket_never_gives_more_than_its_rate_allows(pauses: list[float]) -> None:
    bucket, now, taken = TokenBucket(4.0, 0.0), 0.0, 0
    for pause in pauses:
        now += pause
        taken += bucket.take(now, 2.0, 4.0)
    assert taken <= 4 + 2.0 * now + 1e-6
