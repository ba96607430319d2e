"""A relay with a key of its own: everything works, and it may write nothing but its heartbeat."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from emulator.identity import Algorithm
from emulator.running import Emulator
from relay.errors import SettingsError
from relay.settings import Settings
from tests.relay.access.admission import KINDS, bring, token_of
from tests.relay.clients import Tables, change, greeted, live_relay

SECONDS = 40.0
JWT = "a.b.c"


@pytest.mark.parametrize("lane", ["broadcast", "postgres_changes"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_relay_of_its_own_role_works_on_each_lane(
    emulator: Emulator, tables: Tables, lane: str, kind: Algorithm
) -> None:
    key = emulator.keys.mint("relay_reader", algorithm=kind)
    before = tables.hotspot()
    variables = {
        "SUPABASE_SECRET_KEY": "",
        "RELAY_SUPABASE_KEY": key,
        "RELAY_AUTH": "required",
        "RELAY_LIVE": lane,
    }
    async with live_relay(emulator, **variables) as relay, asyncio.timeout(SECONDS):
        health = await relay.health()
        assert (health["ready"], health["live"]["lane"]) == (True, lane)
        assert tables.execute("select max(beat) from relay_heartbeats") > 0
        async with bring(relay.host, "hotspots", "header", token_of(emulator)) as client:
            state = await greeted(client)
            assert before in [each["record"]["id"] for each in state if "record" in each]
            row = tables.hotspot()
            assert (await change(client))["record"]["id"] == row


WRITES: list[tuple[str, str, Mapping[str, Any] | None]] = [
    ("POST", "hotspots", {"entity": "x"}),
    ("PATCH", "hotspots?id=eq.1", {"status": "resolved"}),
    ("DELETE", "alerts?id=eq.1", None),
    ("POST", "relay_heartbeats", {"instance": "c849101d-771a-421e-9df5-729c9f95a7ff"}),
    ("POST", "rpc/request_scan", {}),
    ("POST", "rpc/decide_recommendation", {"id": 1, "decision": "approved", "notes": None}),
    ("POST", "rpc/prune", {"keep": "90 days"}),
]


async def test_its_key_writes_nothing(emulator: Emulator, tables: Tables) -> None:
    tables.alert(tables.hotspot())
    token = emulator.keys.mint("relay_reader")
    headers = {"apikey": emulator.keys.publishable, "Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(trust_env=False, headers=headers, timeout=60) as client:
        for method, path, body in WRITES:
            reply = await client.request(method, f"{emulator.url}/rest/v1/{path}", json=body)
            assert (reply.status_code, reply.json()["code"]) == (403, "42501"), path
    assert tables.execute("select count(*) from alerts") == 1


async def test_a_gateway_takes_no_token_for_a_key(emulator: Emulator) -> None:
    token = emulator.keys.mint("relay_reader")
    async with httpx.AsyncClient(trust_env=False, headers={"apikey": token}, timeout=60) as client:
        assert (await client.get(f"{emulator.url}/rest/v1/hotspots")).status_code == 401


def test_such_a_key_needs_the_publishable_one_beside_it() -> None:
    env = {"SUPABASE_URL": "http://127.0.0.1:8010", "RELAY_SUPABASE_KEY": JWT}
    with pytest.raises(SettingsError, match="SUPABASE_PUBLISHABLE_KEY is not set"):
        Settings.from_env(env)
    found = Settings.from_env(env | {"SUPABASE_PUBLISHABLE_KEY": "sb_publishable_x"})
    assert (found.project.key, found.project.gateway_key) == (JWT, "sb_publishable_x")


@pytest.mark.parametrize(
    "key", [{"SUPABASE_SECRET_KEY": JWT}, {"RELAY_SUPABASE_KEY": "sb_secret_x"}]
)
def test_other_keys_pass_the_gateway_by_themselves(key: dict[str, str]) -> None:
    env = {"SUPABASE_URL": "http://127.0.0.1:8010", "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_x"}
    found = Settings.from_env(env | key)
    assert found.project.gateway_key == found.project.key == next(iter(key.values()))
