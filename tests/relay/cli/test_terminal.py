"""`relay check` and `relay tail` against a relay, and against none."""

import argparse
import asyncio
import json
import re
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from emulator.running import Emulator
from relay.cli import check, tail
from tests.relay.access.admission import token_of
from tests.relay.clients import live_relay
from tests.relay.serving import relaying

DEADLINE = 15

Output = pytest.CaptureFixture[str]


@pytest.fixture
async def relay(emulator: Emulator) -> AsyncIterator[str]:
    async with relaying(emulator) as host:
        yield f"ws://{host}"


@pytest.fixture
def db(emulator: Emulator) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(emulator.dsn(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def nowhere() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"ws://127.0.0.1:{free.getsockname()[1]}"


def hotspot(db: psycopg.Connection[tuple[Any, ...]], severity: str) -> None:
    db.execute(
        "insert into public.hotspots (entity, entity_type, event_type, predicted_co2,"
        " baseline_co2, percent_above, severity)"
        " values (%s, 'supplier', 'logistics', 93.6, 60, 56, %s)",
        (f"Northwind {severity}", severity),
    )


def port_of(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])


async def checked(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    check.configure(parser, {})
    return await check.run(parser.parse_args(arguments))


async def tailed(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    tail.configure(parser, {})
    return await tail.run(parser.parse_args(arguments))


async def printed(capsys: Output, text: str) -> str:
    """What was printed until `text` came."""
    output = ""
    async with asyncio.timeout(DEADLINE):
        while text not in output:
            await asyncio.sleep(0.02)
            output += capsys.readouterr().out
    return output


async def test_check_says_connected_for_each_endpoint_and_counts_its_rows(
    relay: str, db: psycopg.Connection[tuple[Any, ...]], capsys: Output
) -> None:
    hotspot(db, "critical")
    assert await checked("--url", relay) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for endpoint in ("hotspots", "alerts", "recommendations"):
        assert [endpoint, "connected"] in lines
    assert ["alerts", "0", "rows"] in lines


async def test_check_shows_what_arrives_while_it_waits(
    relay: str, db: psycopg.Connection[tuple[Any, ...]], capsys: Output
) -> None:
    checking = asyncio.create_task(checked("--url", relay, "--wait", "3"))
    await printed(capsys, "hotspots        0 rows")
    hotspot(db, "critical")
    assert "+56.0 %" in await printed(capsys, "Northwind critical")
    assert await checking == 0
    assert "hotspots        1 changes within 3 s" in capsys.readouterr().out


async def test_check_asks_no_proxy_for_a_relay(
    relay: str, nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, nowhere.replace("ws", "http", 1))
    assert await checked("--url", relay) == 0


async def test_check_says_what_the_relay_says_about_its_own_supply(
    monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setattr(check, "SYNCED_SECONDS", 0.2)

    async def wait(connection: ServerConnection) -> None:
        await connection.send('{"type":"hello","resumed":false}')
        await connection.send('{"type":"status","upstream":"down"}')
        await connection.wait_closed()

    async with serve(wait, "127.0.0.1", 0, subprotocols=["relay.v1"]) as server:  # type: ignore[list-item]
        assert await checked("--url", f"ws://127.0.0.1:{port_of(server)}") == 1
    assert capsys.readouterr().out.count("upstream is down") == 3


async def test_check_names_what_failed_and_why(nowhere: str, capsys: Output) -> None:
    assert await checked("--url", nowhere) == 1
    output = capsys.readouterr().out
    for endpoint in ("hotspots", "alerts", "recommendations"):
        assert f"{nowhere}/ws/{endpoint} cannot be reached" in output
    assert "python -m relay" in output


async def test_tail_prints_one_line_for_each_matching_change(
    relay: str, db: psycopg.Connection[tuple[Any, ...]], capsys: Output
) -> None:
    hotspot(db, "info")
    tailing = asyncio.create_task(tailed("hotspots", "--url", relay, "--filter", "severity=warn"))
    hotspot(db, "warn")
    output = await printed(capsys, "Northwind warn")
    assert "Northwind info" not in output
    tailing.cancel()
    await asyncio.wait([tailing])


async def test_tail_prints_the_frames_themselves_when_asked(relay: str, capsys: Output) -> None:
    tailing = asyncio.create_task(tailed("alerts", "--url", relay, "--raw"))
    frames = [json.loads(line) for line in (await printed(capsys, '"synced"')).splitlines()]
    assert frames[0]["type"] == "hello"
    assert frames[0]["endpoint"] == "alerts"
    tailing.cancel()
    await asyncio.wait([tailing])


async def test_a_supplier_whose_name_has_a_comma_can_be_asked_for(
    relay: str, db: psycopg.Connection[tuple[Any, ...]], capsys: Output
) -> None:
    for entity in ("Acme, Inc.", "Acme", "Inc.", "Umbrella"):
        db.execute(
            "insert into public.hotspots (entity, entity_type, event_type, predicted_co2,"
            " baseline_co2, percent_above, severity)"
            " values (%s, 'supplier', 'logistics', 2, 1, 100, 'critical')",
            (entity,),
        )
    wanted = [f"--filter=entity={entity}" for entity in ("Acme, Inc.", "Umbrella")]
    tailing = asyncio.create_task(tailed("hotspots", "--url", relay, "--raw", *wanted))
    frames = [json.loads(line) for line in (await printed(capsys, '"synced"')).splitlines()]
    found = {each["record"]["entity"] for each in frames if each.get("record")}
    assert found == {"Acme, Inc.", "Umbrella"}
    tailing.cancel()
    await asyncio.wait([tailing])


async def test_both_name_the_variable_where_the_relay_asks_for_a_token(
    emulator: Emulator, capsys: Output
) -> None:
    expired = token_of(emulator, exp=int(time.time()) - 60)
    async with live_relay(emulator, RELAY_AUTH="required", RELAY_AUTH_SECONDS="3600") as relay:
        url = f"ws://{relay.host}"
        for token, reason in ((None, "asks for a user's token"), (expired, "has expired")):
            parser = argparse.ArgumentParser()
            tail.configure(parser, {})
            assert await tail.run(parser.parse_args(["hotspots", "--url", url]), token) == 1
            assert await check.run(argparse.Namespace(url=url, wait=0), token) == 1
            output = capsys.readouterr()
            for text in (reason, "set RELAY_TOKEN"):
                assert (output.err.count(text), output.out.count(text)) == (1, 3)
        good = token_of(emulator)
        assert await check.run(argparse.Namespace(url=url, wait=0), good) == 0


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({}, "ws://127.0.0.1:8003"),
        ({"PORT": "9000", "HOST": "0.0.0.0"}, "ws://127.0.0.1:9000"),  # noqa: S104
        ({"HOST": "::1"}, "ws://[::1]:8003"),
        ({"HOST": "10.0.0.7", "RELAY_TLS_CERT": "c.pem"}, "wss://10.0.0.7:8003"),
    ],
)
def test_both_look_for_the_relay_where_the_same_variables_start_it(
    env: dict[str, str], url: str
) -> None:
    for command, arguments in ((tail, ["hotspots"]), (check, [])):
        parser = argparse.ArgumentParser()
        command.configure(parser, env)
        assert parser.parse_args(arguments).url == url


@pytest.mark.parametrize("command", ["check --wait 30", "tail hotspots", "tail hotspots --raw"])
async def test_a_reader_that_has_seen_enough_ends_them_without_a_word(
    relay: str, db: psycopg.Connection[tuple[Any, ...]], command: str
) -> None:
    for severity in ("info", "warn", "critical"):
        hotspot(db, severity)
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m relay {command} --url {relay} | head -1",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert out.count(b"\n") == 1
    assert not [line for line in err.decode().splitlines() if not line.startswith("relay tail: ")]


async def test_tail_fails_when_there_is_no_relay(nowhere: str, capsys: Output) -> None:
    assert await tailed("hotspots", "--url", nowhere) == 1
    assert "cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["ws://127.0.0.1:port", "ftp://127.0.0.1", "127.0.0.1:8003"])
async def test_an_address_that_is_none_is_said_in_one_line(url: str, capsys: Output) -> None:
    assert await tailed("hotspots", "--url", url) == 1
    assert capsys.readouterr().err.endswith("is no WebSocket address\n")


async def test_tail_fails_with_the_relays_reason_when_a_filter_is_unknown(
    relay: str, capsys: Output
) -> None:
    assert await tailed("alerts", "--url", relay, "--filter", "colour=red") == 1
    assert "4502" in (error := capsys.readouterr().err)
    assert "colour" in error


@pytest.mark.parametrize("code", [1000, 1012, 4000, 4500])
async def test_check_fails_when_it_is_cut_off(code: int, capsys: Output) -> None:
    async def cut(connection: ServerConnection) -> None:
        await connection.send('{"type":"hello","resumed":false}')
        await connection.close(code, "as told")

    async with serve(cut, "127.0.0.1", 0, subprotocols=["relay.v1"]) as server:  # type: ignore[list-item]
        assert await checked("--url", f"http://127.0.0.1:{port_of(server)}") == 1
    output = capsys.readouterr()
    assert f"{code}" in output.out
    assert output.out.count("as told") == 3


@pytest.mark.parametrize("form", [[], ["--raw"]])
async def test_tail_goes_on_where_it_was_when_a_relay_goes_away(
    form: list[str], capsys: Output
) -> None:
    """Each connection tells which cursor it came with, in a row, and the third ends it for good."""
    codes = iter([1012, 1001, 4502])

    async def cut(connection: ServerConnection) -> None:
        assert connection.request is not None
        cursor = parse_qs(urlsplit(connection.request.path).query).get("cursor", ["none"])[0]
        row = {"id": 1, "level": "warn", "message": f"came with {cursor}", "acknowledged": False}
        resumed = cursor != "none"
        for frame in (
            {"type": "hello", "resumed": resumed},
            {"type": "INSERT", "table": "alerts", "version": 1, "record": row},
            {"type": "synced", "cursor": f"{cursor}+1"},
        ):
            await connection.send(json.dumps(frame))
        await connection.close(next(codes), "as told")

    async with serve(cut, "127.0.0.1", 0, subprotocols=["relay.v1"]) as server:  # type: ignore[list-item]
        async with asyncio.timeout(60):
            assert await tailed("alerts", "--url", f"ws://127.0.0.1:{port_of(server)}", *form) == 1
    output = capsys.readouterr()
    came_with = [line.partition("came with ")[2] for line in output.out.splitlines()]
    found = [re.match(r"[a-z+0-9]+", text) for text in came_with if text]
    assert [each and each[0] for each in found] == ["none", "none+1", "none+1+1"]
    assert output.err.count("connecting again") == 2
    assert output.err.splitlines()[-1].endswith("as told")


async def test_a_server_that_is_no_relay_is_named(capsys: Output) -> None:
    async def ignore(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(ignore, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{port_of(server)}"
        assert await tailed("hotspots", "--url", url) == 1
    assert "does not speak relay.v1" in capsys.readouterr().err
