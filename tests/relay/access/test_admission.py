"""Every token, brought in every way to every endpoint: only the good ones read a row."""

import asyncio
import json

import pytest

from emulator.identity import Algorithm
from emulator.running import Emulator
from relay.access import jwks
from relay.stream.change import BY_NAME
from tests.relay.access.admission import (
    BAD,
    KINDS,
    REQUEST,
    SOURCES,
    UNTIMELY,
    bring,
    outcome,
    token_of,
    tried,
)
from tests.relay.clients import THROUGH_ASGI, Running, Tables, live_relay

pytestmark = pytest.mark.usefixtures("each_server")
SECONDS = 60.0


def required(emulator: Emulator, **variables: str) -> dict[str, str]:
    return {
        "RELAY_AUTH": "required",
        "RELAY_AUTH_SECONDS": "1",
        "SUPABASE_JWT_SECRET": emulator.keys.jwt_secret,
        **variables,
    }


def add_rows(tables: Tables) -> None:
    hotspot = tables.hotspot()
    tables.alert(hotspot)
    tables.recommendation(hotspot)


async def test_only_good_tokens_read_a_row(emulator: Emulator, tables: Tables) -> None:
    add_rows(tables)
    cases = [
        (kind, defect, source, endpoint)
        for kind in KINDS
        for defect in ("good", *BAD)
        for source in SOURCES
        for endpoint in BY_NAME
        # uvicorn's own class leaves who sends so long a head without an answer.
        if not (THROUGH_ASGI.get() and defect == "16 KiB" and source != "first message")
    ]
    assert len(cases) >= 2 * 20 * 4 * 3 - 18
    # An empty token is none, and the relay waits for one in the first message.
    silent = [
        (kind, defect, source, endpoint)
        for kind, defect, source, endpoint in cases
        if defect == "none" or (defect == "empty" and source != "first message")
    ]
    for some, seconds in (([case for case in cases if case not in silent], "30"), (silent, "0.5")):
        variables = required(emulator, RELAY_AUTH_SECONDS=seconds, RELAY_MAX_PER_ADDRESS="1000")
        async with live_relay(emulator, **variables) as relay, asyncio.timeout(SECONDS):
            found = await asyncio.gather(*(read(relay, emulator, *case) for case in some))
        for case, (text, code) in zip(some, found, strict=True):
            check(case, text, code)


def check(case: tuple[Algorithm, str, str, str], text: str, code: int) -> None:
    kind, defect, source, endpoint = case
    said = f"{kind} {defect} by {source} at {endpoint}: {code} {text[:200]}"
    if defect == "good":
        assert code == 0, said
        assert f'"table":"{endpoint}"' in text, said
    else:
        assert text == "", said
        # Longer than a message, a line or a query may be: refused before it is read.
        too_long = {1009, 4501, 400, 414} if defect == "16 KiB" else set()
        # Or nobody could look whether there is such a key, since that was just done.
        unknown = {1013} if defect == "unknown kid" else set()
        refused = {4001 if defect in UNTIMELY else 4500}
        assert code in refused | too_long | unknown, said


async def read(
    relay: Running, emulator: Emulator, kind: Algorithm, defect: str, source: str, endpoint: str
) -> tuple[str, int]:
    token = token_of(emulator, kind) if defect == "good" else BAD[defect](emulator, kind)
    return await tried(relay.host, endpoint, source, token)


async def test_a_plain_client_brings_its_token_and_reads_rows(
    emulator: Emulator, tables: Tables
) -> None:
    async with live_relay(emulator, **required(emulator)) as relay, asyncio.timeout(SECONDS):
        for source in SOURCES:
            token = token_of(emulator)
            async with bring(relay.host, "hotspots", source, token, events=False) as client:
                if source == "first message":
                    await client.send(json.dumps({"type": "auth", "token": token}))
                await relay.until(lambda health: health["clients"] == 1)
                row = tables.hotspot()
                assert json.loads(await client.recv())["id"] == row
            await relay.until(lambda health: health["clients"] == 0)


async def test_a_new_signing_key_is_fetched_when_a_token_names_it(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "LEAST_SECONDS", 0.0)
    async with live_relay(emulator, **required(emulator)) as relay, asyncio.timeout(SECONDS):
        for source in SOURCES:
            emulator.keys.signing.rotate()
            assert (await tried(relay.host, "hotspots", source, token_of(emulator)))[1] == 0


async def test_who_brings_a_key_that_cannot_be_looked_up_now_may_come_back(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The project is not asked for every stranger: then nobody knows whether there is that key."""
    monkeypatch.setattr(jwks, "LEAST_SECONDS", 3600.0)
    async with live_relay(emulator, **required(emulator)) as relay, asyncio.timeout(SECONDS):
        emulator.keys.signing.rotate()
        for source in SOURCES:
            assert (await tried(relay.host, "hotspots", source, token_of(emulator)))[1] == 1013
        monkeypatch.setattr(jwks, "LEAST_SECONDS", 0.0)
        assert (await tried(relay.host, "hotspots", "header", token_of(emulator)))[1] == 0
        assert (await tried(relay.host, "hotspots", "header", token_of(emulator, "HS256")))[1] == 0


async def test_without_the_secret_tokens_signed_with_it_are_refused(emulator: Emulator) -> None:
    variables = required(emulator, SUPABASE_JWT_SECRET="")
    async with live_relay(emulator, **variables) as relay, asyncio.timeout(SECONDS):
        assert (await tried(relay.host, "hotspots", "header", token_of(emulator, "HS256")))[
            1
        ] == 4500
        assert (await tried(relay.host, "hotspots", "header", token_of(emulator, "ES256")))[1] == 0


@pytest.mark.parametrize("said", ['{"type":"ping"}', "rubbish", "[]", '{"type":"auth","token":5}'])
async def test_something_else_than_a_token_ends_the_connection(
    emulator: Emulator, said: str
) -> None:
    async with live_relay(emulator, **required(emulator)) as relay, asyncio.timeout(SECONDS):
        for events in (True, False):
            async with bring(
                relay.host, "hotspots", "first message", None, events=events
            ) as client:
                await client.send(said)
                assert await outcome(client, "none", None) == ("", 4500)


async def test_a_client_without_a_token_is_told_at_once_and_closed_only_when_its_time_is_up(
    emulator: Emulator, tables: Tables
) -> None:
    add_rows(tables)
    async with live_relay(emulator, **required(emulator)) as relay, asyncio.timeout(SECONDS):
        async with bring(relay.host, "hotspots", "first message", None) as silent:
            assert await silent.recv() == REQUEST
            assert await outcome(silent, "none", None) == ("", 4500)
        async with bring(relay.host, "hotspots", "first message", None) as asked:
            assert await asked.recv() == REQUEST
            text, code = await outcome(asked, "first message", token_of(emulator))
            assert (text.startswith('{"type":"hello"'), code) == (True, 0)
        for source in ("header", "subprotocol", "query"):
            async with bring(relay.host, "hotspots", source, token_of(emulator)) as client:
                assert json.loads(await client.recv())["type"] == "hello"


async def test_a_token_of_8_kib_is_taken_however_it_is_brought(
    emulator: Emulator, tables: Tables
) -> None:
    add_rows(tables)
    token = token_of(emulator, app_metadata={"filler": "x" * 5500})
    assert 7 * 1024 < len(token) <= 8 * 1024
    async with live_relay(emulator, **required(emulator)) as relay, asyncio.timeout(SECONDS):
        # The class that serves others than ours reads no longer line than 8 KiB.
        for source in ("first message",) if THROUGH_ASGI.get() else SOURCES:
            assert (await tried(relay.host, "hotspots", source, token))[1] == 0, source
