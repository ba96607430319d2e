"""The official client as the relay changes it."""

import asyncio
import importlib
import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from realtime import AsyncRealtimeClient, message
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets

from relay import dependency_checks
from relay.upstream import realtime_client
from relay.upstream.live import LONGEST_PAUSE_SECONDS, pause

module: Any = importlib.import_module("realtime._async.client")
TRANSCRIPTS = Path(__file__).parents[2] / "transcripts"


def recorded() -> Iterator[str]:
    """The frames that the real server sent."""
    for transcript in sorted(TRANSCRIPTS.glob("*.jsonl")):
        for line in transcript.read_text().splitlines():
            entry = json.loads(line)
            if entry.get("dir") == "recv" and "raw" in entry:
                yield entry["raw"]


def parsed(adapter: Any, frame: str) -> tuple[object, ...] | None:
    """What the client reads in a frame; None when it refuses it."""
    try:
        found = adapter.validate_json(frame)
    except ValidationError:
        return None
    kinds = [model for model in message.ServerMessage.__args__ if isinstance(found, model)]
    return kinds, found.model_dump(), type(found.payload)


def test_the_patches_are_for_the_version_that_is_installed() -> None:
    assert version("realtime") == dependency_checks.REALTIME
    assert realtime_client.apply()


def test_another_version_is_left_alone_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dependency_checks, "version", lambda package: "3.0.0")
    assert not realtime_client.apply()
    assert "realtime 3.0.0 is not as 2.34.1 was" in caplog.text
    assert "pip install 'realtime==2.34.1'" in caplog.text


async def test_a_client_that_never_connected_can_be_disposed_of() -> None:
    client = AsyncRealtimeClient("ws://127.0.0.1:9/realtime/v1", "key", auto_reconnect=False)
    client.channel("relay")
    with pytest.raises(RuntimeError):
        realtime_client.listening(client)
    await realtime_client.dispose(client)


def test_every_frame_of_the_real_server_is_read_as_the_client_reads_it() -> None:
    realtime_client.apply()
    own = TypeAdapter(message.ServerMessage)
    read = {frame: parsed(module.ServerMessageAdapter, frame) for frame in recorded()}
    assert read == {frame: parsed(own, frame) for frame in read}
    events = {json.loads(frame)["event"] for frame, found in read.items() if found is not None}
    assert {"phx_reply", "system", "postgres_changes", "broadcast"} <= events


def test_messages_are_not_written_out_for_log_lines() -> None:
    realtime_client.apply()
    frame = next(frame for frame in recorded() if '"postgres_changes","payload":{"data"' in frame)
    assert repr(module.ServerMessageAdapter.validate_json(frame)) == "PostgresChangesMessage"


async def test_a_client_reads_no_further_while_there_is_no_room() -> None:
    realtime_client.apply()
    sent = [str(number) for number in range(3)]

    async def serve(connection: ServerConnection) -> None:
        for each in sent:
            await connection.send(each)
        await connection.wait_closed()

    async with serve_websockets(serve, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        client = AsyncRealtimeClient(f"ws://127.0.0.1:{port}/realtime/v1", "key")
        connection = client._ws_connection = await module.connect(f"ws://127.0.0.1:{port}")
        room = asyncio.Event()
        realtime_client.pace(client, room)
        frames = aiter(connection)
        assert await anext(frames) == "0"
        second = asyncio.create_task(anext(frames))
        await connection.ping()  # what came before the pong has been received
        assert not second.done()
        room.set()
        assert [await second, await anext(frames)] == sent[1:]
        await connection.close()


@pytest.mark.parametrize("failures", [0, 1, 3, 10, 10_000])
def test_the_pause_grows_to_a_limit_and_is_jittered(failures: int) -> None:
    longest = min(LONGEST_PAUSE_SECONDS, 0.5 * 2 ** min(failures, 20))
    assert pause(failures, 0.0) == 0
    assert pause(failures, 1.0) == longest
