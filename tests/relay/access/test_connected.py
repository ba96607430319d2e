"""What becomes of a connection when its token, its user's rights or its rows change."""

import argparse
import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import httpx
import psycopg
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from emulator.running import Emulator
from relay.access import policies
from relay.cli import disconnect
from tests.relay.access.admission import USER, bring, token_of, tried
from tests.relay.clients import Frame, Running, Tables, change, frame, greeted, live_relay

each_server = pytest.mark.usefixtures("each_server")
SECONDS = 30.0


@asynccontextmanager
async def guarded(emulator: Emulator, **variables: str) -> AsyncIterator[Running]:
    """A relay that asks for tokens."""
    required = {"RELAY_AUTH": "required", "SUPABASE_JWT_SECRET": emulator.keys.jwt_secret}
    async with live_relay(emulator, **required | variables) as relay, asyncio.timeout(SECONDS):
        yield relay


def short(emulator: Emulator, seconds: float, **claims: Any) -> str:
    """A token that is good for about so long."""
    return token_of(emulator, exp=time.time() + seconds, **claims)


async def code_of(client: ClientConnection) -> int:
    """The code that the connection is closed with."""
    with contextlib.suppress(ConnectionClosed):
        async for _ in client:
            pass
    return client.close_code or 1006


async def until(client: ClientConnection, kind: str) -> Frame:
    """The next frame of that type."""
    while (found := await frame(client))["type"] != kind:
        pass
    return found


def run(emulator: Emulator, *statements: LiteralString) -> None:
    with psycopg.connect(emulator.dsn("postgres"), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


@each_server
async def test_a_client_is_told_before_its_token_expires_and_closed_when_it_does(
    emulator: Emulator,
) -> None:
    async with (
        guarded(emulator) as relay,
        bring(relay.host, "hotspots", "header", short(emulator, 2)) as client,
    ):
        told = await until(client, "token_expiring")
        assert 0 <= told["seconds"] <= 2
        assert await code_of(client) == 4001


@each_server
async def test_a_client_is_warned_once_of_the_end_of_each_token(emulator: Emulator) -> None:
    token, fresh = short(emulator, 20), short(emulator, 25)

    async def warnings(client: ClientConnection, *shown: str) -> int:
        for each in shown:
            await client.send(json.dumps({"type": "auth", "token": each}))
        await client.send('{"type":"ping"}')
        found = 0
        while (kind := (await frame(client))["type"]) != "pong":
            found += kind == "token_expiring"
        return found

    async with (
        guarded(emulator) as relay,
        bring(relay.host, "hotspots", "header", token) as client,
    ):
        assert await warnings(client) == 1
        assert await warnings(client, token, token, token) == 0
        assert await warnings(client, fresh, fresh) == 1


@each_server
async def test_a_refreshed_token_keeps_the_connection(emulator: Emulator, tables: Tables) -> None:
    async with (
        guarded(emulator) as relay,
        bring(relay.host, "hotspots", "header", short(emulator, 2)) as client,
    ):
        await greeted(client)
        await client.send(json.dumps({"type": "auth", "token": short(emulator, 900)}))
        told = await until(client, "authenticated")
        assert 890 <= told["expires_in"] <= 900
        with pytest.raises(TimeoutError):  # at the end of the first token, and past it
            async with asyncio.timeout(2.5):
                await client.wait_closed()
        row = tables.hotspot()
        assert (await change(client))["record"]["id"] == row


async def test_a_plain_client_is_closed_when_its_token_expires_and_hears_nothing_else(
    emulator: Emulator,
) -> None:
    async with guarded(emulator) as relay:
        token = short(emulator, 1.5)
        async with bring(relay.host, "hotspots", "header", token, events=False) as client:
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4001


@pytest.mark.parametrize(
    ("claims", "code"),
    [({"sub": "somebody-else"}, 4500), ({"role": "service_role"}, 4500), ({"aud": "else"}, 4500)],
    ids=["another user", "another role", "a bad token"],
)
async def test_a_refresh_by_somebody_else_ends_the_connection(
    emulator: Emulator, claims: dict[str, str], code: int
) -> None:
    token = token_of(emulator, "ES256", **claims)
    async with (
        guarded(emulator) as relay,
        bring(relay.host, "hotspots", "header", token_of(emulator)) as client,
    ):
        await greeted(client)
        await client.send(json.dumps({"type": "auth", "token": token}))
        assert await code_of(client) == code


@pytest.mark.parametrize(
    "whose", [{"user": USER}, {"session": "session-1"}], ids=["user", "session"]
)
@each_server
async def test_a_user_or_a_session_is_cut_off_live(
    emulator: Emulator, whose: dict[str, str]
) -> None:
    async with guarded(emulator) as relay, httpx.AsyncClient(trust_env=False, timeout=60) as http:
        one = bring(relay.host, "hotspots", "header", token_of(emulator))
        same = bring(relay.host, "alerts", "header", token_of(emulator), events=False)
        other = token_of(emulator, sub="somebody-else", session_id="session-2")
        async with (
            one as cut,
            same as also,
            bring(relay.host, "hotspots", "header", other) as stays,
        ):
            await greeted(cut)
            await greeted(stays)
            url = f"http://{relay.host}/admin/disconnect"
            for key in ("", "Bearer wrong", f"Bearer {token_of(emulator)}"):
                refused = await http.post(url, json=whose, headers={"Authorization": key})
                assert refused.status_code == 401
            secret = {"Authorization": f"Bearer {emulator.keys.secret}"}
            assert (await http.post(url, json=whose, headers=secret)).json() == {"disconnected": 2}
            assert (await code_of(cut), await code_of(also)) == (4500, 4500)
            await stays.send('{"type":"ping"}')
            await until(stays, "pong")


async def test_the_command_that_ended_nothing_says_so_and_fails(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    disconnect.configure(parser, {})
    env = {"SUPABASE_SECRET_KEY": emulator.keys.secret}
    async with guarded(emulator) as relay:
        at = ["--url", f"http://{relay.host}"]
        here = bring(relay.host, "hotspots", "header", token_of(emulator))
        async with here as cut:
            await greeted(cut)
            assert await disconnect.run(parser.parse_args(["--user", "no-such", *at]), env) == 1
            assert "nothing was ended" in (said := capsys.readouterr().err)
            assert "no connection of user no-such" in said
            assert await disconnect.run(parser.parse_args(["--user", USER, *at]), env) == 0
            assert capsys.readouterr().out == "1 connection ended\n"
            assert await code_of(cut) == 4500
    with pytest.raises(SystemExit) as refused:
        parser.parse_args(["--user", "ops@example.org"])
    assert refused.value.code == 2
    assert "is an e-mail address: the id is wanted" in capsys.readouterr().err


PLANTED: dict[str, tuple[LiteralString, ...]] = {
    "own rows": (
        (
            "create policy own on public.hotspots for select to authenticated"
            " using (entity = (select auth.uid())::text)"
        ),
    ),
    "restrictive": (
        (
            "create policy narrow on public.hotspots as restrictive for select to authenticated"
            " using (status = 'active')"
        ),
    ),
    "columns": (
        "revoke select on public.hotspots from authenticated",
        "grant select (id, entity) on public.hotspots to authenticated",
    ),
}


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
async def test_a_role_with_rows_of_its_own_never_gets_one(
    emulator: Emulator, tables: Tables, planted: tuple[LiteralString, ...]
) -> None:
    run(emulator, *planted)
    tables.hotspot()
    token = token_of(emulator)
    async with guarded(emulator) as relay:
        # From the first moment on, and however often it is tried.
        tries = [tried(relay.host, "hotspots", "header", token) for _ in range(20)]
        assert set(await asyncio.gather(*tries)) == {("", 4500)}
        assert (await tried(relay.host, "alerts", "header", token))[1] == 0


async def test_nobody_is_let_in_before_it_is_known_who_may_see_what(
    emulator: Emulator, tables: Tables
) -> None:
    run(emulator, "alter function public.relay_access() rename to relay_access_away")
    tables.hotspot()
    async with guarded(emulator) as relay:
        for source in ("header", "first message"):
            text, code = await tried(relay.host, "hotspots", source, token_of(emulator))
            assert (text, code in (503, 1013)) == ("", True)
        health = await relay.health()
        assert not health["ready"]
        assert "grants and policies" in health["reasons"][0]
        run(emulator, "alter function public.relay_access_away() rename to relay_access")
        await relay.until(lambda health: bool(health["ready"]))
        assert (await tried(relay.host, "hotspots", "header", token_of(emulator)))[1] == 0


async def test_a_new_policy_cuts_off_whom_it_concerns(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "PERIOD_SECONDS", 0.2)
    async with guarded(emulator) as relay:
        of_hotspots = bring(relay.host, "hotspots", "header", token_of(emulator))
        of_alerts = bring(relay.host, "alerts", "header", token_of(emulator))
        of_service = bring(
            relay.host, "hotspots", "header", token_of(emulator, role="service_role")
        )
        async with of_hotspots as cut, of_alerts as stays, of_service as whole:
            for client in (cut, stays, whole):
                await greeted(client)
            run(emulator, *PLANTED["own rows"])
            assert await code_of(cut) == 4500
            for client in (stays, whole):
                await client.send('{"type":"ping"}')
                await until(client, "pong")


SCOPED: tuple[LiteralString, ...] = (
    "alter table public.hotspots add column tenant_id text",
    'drop policy "Signed-in users read hotspots" on public.hotspots',
    (
        "create policy tenants on public.hotspots for select to authenticated using"
        " (tenant_id = ((select auth.jwt()) -> 'app_metadata' ->> 'tenant_id'))"
    ),
)


async def test_a_client_gets_the_rows_of_its_scope_and_leave_when_one_moves(
    emulator: Emulator, tables: Tables
) -> None:
    run(emulator, *SCOPED)
    rows = [tables.hotspot() for _ in range(3)]
    with psycopg.connect(emulator.dsn("postgres"), autocommit=True) as database:

        def move(row: int, tenant: str) -> None:
            database.execute(
                "update public.hotspots set tenant_id = %s where id = %s", (tenant, row)
            )

        for row, tenant in zip(rows, ("north", "south", "north"), strict=True):
            move(row, tenant)
        token = token_of(emulator, app_metadata={"tenant_id": "north"})
        async with guarded(emulator, RELAY_SCOPE_COLUMN="tenant_id") as relay:
            async with bring(relay.host, "hotspots", "header", token) as client:
                state = await greeted(client)
                held = [
                    each["record"]["id"] for each in state if each["type"] in ("INSERT", "UPDATE")
                ]
                assert held == [rows[0], rows[2]]
                move(rows[2], "south")
                left = await change(client)
                assert (left["type"], left["id"]) == ("LEAVE", rows[2])
                move(rows[1], "north")
                came = await change(client)
                assert (came["type"], came["record"]["id"]) == ("UPDATE", rows[1])
            cursor = state[-1]["cursor"]
            for metadata, resumed in (("north", True), ("south", False)):
                again = token_of(emulator, app_metadata={"tenant_id": metadata})
                async with bring(
                    relay.host, f"hotspots?cursor={cursor}", "header", again
                ) as client:
                    assert (await frame(client))["resumed"] is resumed
            nobody = token_of(emulator, user_metadata={"tenant_id": "north"})
            assert await tried(relay.host, "hotspots", "header", nobody) == ("", 4500)
            assert await tried(relay.host, "alerts", "header", token) == ("", 4500)
