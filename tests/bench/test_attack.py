"""The attack of the benchmark is one: the relay is told what it must not take, and ends it."""

from __future__ import annotations

import struct

import pytest

from bench import machine
from bench.attack.attacker import Attacker, receive, send
from bench.attack.payloads import BREACHES, request
from bench.attack.running import attacking
from bench.attack.ways import SHARES
from bench.contestants.relay import relay, upstream
from bench.processes import Failed
from bench.scenarios import attack
from bench.scenarios.attack import Course

pytestmark = pytest.mark.usefixtures("programs")

REFUSALS = {1002, 1007, 1009, 4501}


async def test_each_breach_is_found_to_be_one() -> None:
    port, codes = machine.free_port(), []
    async with upstream() as supabase, relay(supabase.url, supabase.key, port):
        attacker = Attacker(port, ["x"], 1)
        for breach in BREACHES:
            async with attacker.connected() as connection:
                await send(connection, request("/ws/hotspots", {}))
                answer = await receive(connection)
                assert answer.startswith(b"HTTP/1.1 101 ")
                assert answer.endswith(b"\r\n\r\n")
                await send(connection, breach)
                head, code = struct.unpack_from(">BxH", await receive(connection))
                assert head == 0x88
                codes.append(code)
    assert set(codes) == REFUSALS


async def test_clients_follow_while_every_kind_of_attack_goes_on() -> None:
    course = Course(
        warm_seconds=0.5, seconds=1.0, per_second=100, gather_seconds=1.0, calm_seconds=0.1
    )
    figures = await attack.measure(course)
    assert all(figures[f"{way.__name__}_per_s"] > 0 for way in SHARES)
    assert figures["attacks_per_s"] > 20
    assert figures["lost"] == 0
    for name in ("p50_ms", "p99_ms", "p99_ms_quiet", "p99_ratio", "busy", "before_kib"):
        assert figures[name] > 0


async def test_an_attack_on_nobody_is_none() -> None:
    async with attacking(machine.free_port(), 100, ["x"]) as hostile:
        with pytest.raises(Failed, match="the attack did not go as wanted"):
            await hostile.end()


def test_what_clients_lost_under_attack_fails() -> None:
    got = dict.fromkeys(attack.LOST, 0) | {"missing": 3}
    with pytest.raises(Failed, match="'missing': 3"):
        attack.latency(got)
