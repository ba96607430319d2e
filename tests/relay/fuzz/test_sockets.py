"""The same inputs over real sockets: no crash, no hang, no 500, and the relay keeps serving.

`FUZZ` and `SEED` as beside this file.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator

import httpx
import pytest
from websockets.frames import Opcode

from emulator.running import Emulator
from relay.logs import no_refusal
from relay.stream.encoding import SUBPROTOCOL
from tests.relay.access.hostile import kept, until_left
from tests.relay.clients import Running, Tables, greeted, live_relay
from tests.relay.fuzz.inputs import Inputs
from tests.relay.fuzz.test_parsers import ATTEMPTS, SEED
from tests.relay.raw import HEADERS, head, speaking

SHARE = max(20, ATTEMPTS // 30)  # of each kind
SECONDS = 60.0 + ATTEMPTS / 50
ANSWER_SECONDS = 30.0

pytestmark = pytest.mark.timeout(SECONDS + 60)


@pytest.fixture
def quiet_uvicorn() -> Iterator[None]:
    """Leaves out of its lines what the relay leaves out."""
    logger = logging.getLogger("uvicorn.error")
    logger.addFilter(no_refusal)
    yield
    logger.removeFilter(no_refusal)


@pytest.mark.usefixtures("quiet_uvicorn")
async def test_whatever_is_sent_the_relay_keeps_serving(
    emulator: Emulator, tables: Tables, caplog: pytest.LogCaptureFixture
) -> None:
    hotspot = tables.hotspot()
    tables.alert(hotspot)
    tables.recommendation(hotspot)
    user = emulator.keys.mint("authenticated", subject="7c9e6679-7425-40de-944b-e07fc1f90ae7")
    inputs = Inputs(SEED)
    async with (
        live_relay(emulator, RELAY_MESSAGES_PER_SECOND="10000") as relay,
        asyncio.timeout(SECONDS),
    ):
        async with relay.follow("hotspots") as client:
            cursors = [(await greeted(client))[-1]["cursor"]]
        await requests(relay, inputs, ["", f"Bearer {user}", "Bearer x", "x", "Bearer " + "é"])
        for _ in range(SHARE):
            await handshake(relay, inputs)
            await frames(relay, inputs)
            await query(relay, inputs, cursors)
        async with relay.follow("hotspots") as client:
            assert "INSERT" in [each["type"] for each in await greeted(client)]
        await until_left(relay, 0)
        assert kept(relay)["sessions"] == 0
    accidents = [each for each in caplog.records if each.exc_info or each.levelno >= logging.ERROR]
    assert [each.getMessage() for each in accidents] == []


async def requests(relay: Running, inputs: Inputs, authorizations: list[str]) -> None:
    """Requests to every route."""
    async with httpx.AsyncClient(
        trust_env=False, base_url=f"http://{relay.host}", timeout=ANSWER_SECONDS
    ) as client:
        for _ in range(SHARE):
            asked = inputs.request(authorizations)
            asked["headers"] = {name: text.encode() for name, text in asked["headers"].items()}
            reply = await client.request(**asked)
            # 502 and 503 tell of Supabase; nothing here is so.
            assert reply.status_code < 500, (asked, reply.text)
            assert "Traceback" not in reply.text


async def handshake(relay: Running, inputs: Inputs) -> None:
    """Something like a handshake is answered, or the connection ended."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        async with speaking(relay.host, inputs.handshake()) as raw:
            assert raw.status < 500, raw.answer


async def frames(relay: Running, inputs: Inputs) -> None:
    """Frames, right and wrong ones, in a connection that is good so far."""
    protocol = inputs.random.choice(("", SUBPROTOCOL))
    async with speaking(relay.host, subprotocol=protocol) as raw:
        assert raw.status == 101
        for _ in range(5):
            raw.writer.write(inputs.frames())
            await asyncio.sleep(0)
        if inputs.random.random() < 0.5:
            with contextlib.suppress(OSError):  # it may be over already
                raw.writer.write_eof()
            await raw.end()


async def query(relay: Running, inputs: Inputs, cursors: list[str]) -> None:
    """Any query is served, turned away with a code, or refused."""
    text = inputs.query(cursors).encode("latin-1", "replace").decode("latin-1")
    offered = {"Sec-WebSocket-Protocol": inputs.random.choice(("", SUBPROTOCOL))}
    request = head(f"/ws/hotspots?{text}", HEADERS | offered)
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        async with speaking(relay.host, request) as raw:
            assert raw.status < 500, raw.answer
            if raw.status == 101:
                raw.send(Opcode.PING, b"is it heard?")
                with contextlib.suppress(asyncio.IncompleteReadError):
                    await raw.until(Opcode.PONG)
