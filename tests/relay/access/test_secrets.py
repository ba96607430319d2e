"""A whole run of the relay's process, however talkative: no secret and no stack trace gets out."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from emulator.running import Emulator
from tests.relay.access.admission import BAD, SOURCES, token_of, tried

SECONDS = 60
LISTENS = re.compile(r"(?:listening|running) on http://(\S+)")
CURSOR_KEY = "cursor-key-4f1e9c"
TALKATIVE = (
    "import logging, sys; logging.basicConfig(level=logging.DEBUG, stream=sys.stdout);"
    "from relay.__main__ import main; sys.exit(main([]))"
)
PATHS = ["/metrics", "/readyz", "/healthz", "/openapi.json", "/hotspots", "/alerts", "/scans/1"]
COMMANDS = [
    "/hotspots/scan",
    "/recommendations/1/approve",
    "/recommendations/x/reject",
    "/alerts/1/acknowledge",
    "/admin/disconnect",
    "/nowhere",
]


BODIES = [b"", b"rubbish", b'{"user": "x"}']


@asynccontextmanager
async def running(
    environment: dict[str, str], *program: str
) -> AsyncIterator[tuple[str, list[str]]]:
    """The address of a relay's process, and the lines that it has said so far."""
    env = {"PATH": os.environ["PATH"], "PORT": "0", "PYTHONUNBUFFERED": "1", **environment}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *program, env=env, stdout=PIPE, stderr=STDOUT, limit=2**24
    )
    lines: list[str] = []
    reading = asyncio.create_task(read(process.stdout, lines))
    try:
        async with asyncio.timeout(SECONDS):
            while (host := listening(lines)) is None:
                assert process.returncode is None, lines
                await asyncio.sleep(0.02)
            yield host, lines
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await reading


async def read(stream: asyncio.StreamReader | None, lines: list[str]) -> None:
    assert stream is not None
    while line := await stream.readline():
        lines.append(line.decode(errors="replace"))


def listening(lines: list[str]) -> str | None:
    for line in list(lines):
        if found := LISTENS.search(line):
            return found[1]
    return None


async def everything(host: str, emulator: Emulator) -> tuple[set[str], list[httpx.Response]]:
    """Tokens brought in all ways, and every kind of request; the tokens and the answers."""
    good = token_of(emulator)
    tokens = {good, token_of(emulator, "HS256")}
    tokens |= {found for make in BAD.values() if (found := make(emulator, "ES256"))}
    # Some words say nothing of whose they are.
    tokens = {each for each in tokens if each != "not-a-token" and len(each) < 8000}
    for token in sorted(tokens):
        for source in SOURCES:
            await tried(host, "hotspots", source, token)
    answers = []
    async with httpx.AsyncClient(base_url=f"http://{host}", trust_env=False, timeout=20) as client:
        for token in ("", good, token_of(emulator, exp=1), emulator.keys.secret, "é"):
            headers = {b"Authorization": f"Bearer {token}".encode()} if token else {}
            asked = [("GET", path, b"") for path in PATHS]
            asked += [("POST", path, body) for path in COMMANDS for body in BODIES]
            for method, path, body in asked:
                reply = await client.request(method, path, headers=headers, content=body)
                answers.append(reply)
    return tokens, answers


def secrets_of(emulator: Emulator) -> set[str]:
    keys = emulator.keys
    return {keys.secret, keys.jwt_secret, CURSOR_KEY}


def environment(emulator: Emulator) -> dict[str, str]:
    return {
        "SUPABASE_URL": emulator.url,
        "SUPABASE_SECRET_KEY": emulator.keys.secret,
        "SUPABASE_PUBLISHABLE_KEY": emulator.keys.publishable,
        "SUPABASE_JWT_SECRET": emulator.keys.jwt_secret,
        "RELAY_CURSOR_KEY": CURSOR_KEY,
    }


def leaks(said: str, secrets: set[str]) -> list[str]:
    """The lines that tell a secret."""
    return [line[:300] for line in said.splitlines() if any(each in line for each in secrets)]


async def ready(host: str) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        while not (await client.get(f"http://{host}/readyz")).is_success:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_full_run_tells_no_secret(emulator: Emulator) -> None:
    async with running(environment(emulator), "-m", "relay") as (host, lines):
        await ready(host)
        tokens, answers = await everything(host, emulator)
    judge(secrets_of(emulator) | tokens, lines, answers)


async def test_nor_does_the_most_talkative_one(emulator: Emulator) -> None:
    async with running(environment(emulator), "-c", TALKATIVE) as (host, lines):
        await ready(host)
        tokens, answers = await everything(host, emulator)
    assert any("DEBUG" in line for line in lines)
    judge(secrets_of(emulator) | tokens, lines, answers)


@pytest.mark.parametrize("level", ["info", "trace"])
async def test_nor_does_the_application_under_stock_uvicorn(emulator: Emulator, level: str) -> None:
    program = ("-m", "uvicorn", "--factory", "relay.asgi:create", "--log-level", level)
    async with running(environment(emulator), *program, "--port", "0") as (host, lines):
        await ready(host)
        tokens, answers = await everything(host, emulator)
    assert any('"WebSocket /ws/hotspots?..."' in line for line in lines)
    judge(secrets_of(emulator) | tokens, lines, answers)


async def test_nor_does_one_whose_key_is_refused(emulator: Emulator) -> None:
    refused = "sb_secret_of-another-project"
    variables = environment(emulator) | {"SUPABASE_SECRET_KEY": refused}
    async with running(variables, "-c", TALKATIVE) as (host, lines):
        tokens, answers = await everything(host, emulator)
    assert any("does not accept the relay's key" in line for line in lines)
    judge(secrets_of(emulator) | tokens | {refused}, lines, answers)


def judge(secrets: set[str], lines: list[str], answers: list[httpx.Response]) -> None:
    said = "".join(lines)
    assert leaks(said, secrets) == []
    assert "Traceback" not in said
    for answer in answers:
        assert leaks(f"{answer.headers}\n{answer.text}", secrets) == [], answer.url
        assert "Traceback" not in answer.text
        assert 'File "' not in answer.text
        assert answer.status_code != 500


async def test_lists_and_commands_want_a_token_where_clients_do(emulator: Emulator) -> None:
    """The local token is for a relay without access control."""
    local = token_of(emulator)
    variables = environment(emulator) | {"RELAY_LOCAL_TOKEN": local}
    for auth, allowed in (("required", False), ("off", True)):
        async with (
            running(variables | {"RELAY_AUTH": auth}, "-m", "relay") as (host, _),
            httpx.AsyncClient(base_url=f"http://{host}", trust_env=False, timeout=60) as client,
        ):
            for method, path in (
                ("GET", "/hotspots"),
                ("GET", "/alerts"),
                ("GET", "/recommendations"),
                ("GET", "/scans/1"),
                ("POST", "/hotspots/scan"),
                ("POST", "/alerts/1/acknowledge"),
                ("POST", "/hotspots/1/resolve"),
                ("POST", "/recommendations/1/approve"),
            ):
                without = (await client.request(method, path)).status_code
                assert (without == 401) is not allowed, path
                headers = {"Authorization": f"Bearer {local}"}
                assert (await client.request(method, path, headers=headers)).status_code != 401
