"""What a handshake that is refused is told, and what the log says of it."""

import logging

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from emulator.running import Emulator
from tests.relay.clients import THROUGH_ASGI, relay_of
from tests.relay.raw import HEADERS, head, speaking

pytestmark = pytest.mark.usefixtures("each_server")


@pytest.mark.parametrize("host", ["relay.example.org", "relay.example.org:443"])
async def test_a_page_of_the_relays_own_name_is_let_in_with_or_without_the_default_port(
    emulator: Emulator, host: str
) -> None:
    headers = HEADERS | {"Host": host, "Origin": "https://relay.example.org"}
    async with (
        relay_of(emulator, RELAY_AUTH="required") as relay,
        speaking(relay.host, head("/ws/hotspots", headers)) as raw,
    ):
        assert raw.status == 101


@pytest.mark.parametrize(("public", "status"), [("no", 403), ("yes", 101)])
async def test_without_tokens_other_names_than_localhost_are_served_where_that_was_asked_for(
    emulator: Emulator, public: str, status: int
) -> None:
    headers = HEADERS | {"Host": "relay.example.org:8003"}
    async with (
        relay_of(emulator, RELAY_ALLOW_PUBLIC_WITHOUT_AUTH=public) as relay,
        speaking(relay.host, head("/ws/hotspots", headers)) as raw,
    ):
        assert raw.status == status


async def test_a_page_that_may_not_is_told_so_and_the_operator_too(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "relay")
    async with relay_of(emulator, RELAY_AUTH="required") as relay:
        for _ in range(50):
            with pytest.raises(InvalidStatus) as refused:
                await connect(
                    f"ws://{relay.host}/ws/hotspots",
                    origin=Origin("https://evil.example"),
                    proxy=None,
                )
            assert refused.value.response.status_code == 403
            body = (refused.value.response.body or b"").decode()
            assert "https://evil.example" in body
            assert "RELAY_ALLOWED_ORIGINS" in body
    lines = [each for each in caplog.messages if each.startswith("refused client=127.0.0.1:")]
    assert 1 <= len(lines) < 50
    assert all("https://evil.example" in line for line in lines)


async def test_a_path_that_is_no_endpoint_is_404_and_names_those_that_there_are(
    emulator: Emulator,
) -> None:
    async with relay_of(emulator) as relay:
        for path in ("/ws/hotspot", "/ws", "/socket.io/", "/web/client.js"):
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://{relay.host}{path}", proxy=None)
            assert refused.value.response.status_code == 404
            assert b"/ws/hotspots" in (refused.value.response.body or b"")


async def test_who_opens_an_endpoint_like_a_page_is_told_what_it_is(emulator: Emulator) -> None:
    async with (
        relay_of(emulator) as relay,
        httpx.AsyncClient(base_url=f"http://{relay.host}", trust_env=False, timeout=60) as client,
    ):
        reply = await client.get("/ws/hotspots")
        assert reply.status_code == 426
        assert reply.headers["upgrade"] == "websocket"
        assert "wss://" in reply.text
        assert (await client.get("/ws/hotspot")).status_code == 404


async def test_other_refusals_say_their_reason_too(emulator: Emulator) -> None:
    if THROUGH_ASGI.get():
        pytest.skip("uvicorn's own class reads no line of this length")
    async with relay_of(emulator) as relay:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{relay.host}/ws/alerts?severity={'x' * 17_000}", proxy=None)
        assert refused.value.response.status_code == 414
        assert b"longer than 16384 bytes" in (refused.value.response.body or b"")
