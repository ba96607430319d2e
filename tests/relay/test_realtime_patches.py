"""What the relay relies on inside other packages: these fail when a package changes."""

import importlib
from importlib.metadata import version
from typing import Any

import pytest
from realtime import AsyncRealtimeClient
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from relay.upstream import realtime_patches
from relay.upstream.live import LONGEST_PAUSE_SECONDS, pause

module: Any = importlib.import_module("realtime._async.client")


def test_the_patches_are_for_the_version_that_is_installed() -> None:
    assert version("realtime") == realtime_patches.VERSION
    assert realtime_patches.apply()


def test_another_version_is_left_alone_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(realtime_patches, "VERSION", "0.0.0")
    assert not realtime_patches.apply()
    assert "not 0.0.0: used as it is" in caplog.text


async def test_the_client_has_the_parts_that_are_patched_and_watched() -> None:
    assert callable(module.connect)
    assert hasattr(module, "ServerMessageAdapter")
    client = AsyncRealtimeClient("ws://127.0.0.1:9/realtime/v1", "key", auto_reconnect=False)
    assert client._listen_task is None
    assert client._heartbeat_task is None
    channel = client.channel("relay")
    channel.rejoin_timer.reset()
    channel.join_push.destroy()
    assert channel._background_tasks == set()
    with pytest.raises(RuntimeError):
        realtime_patches.listening(client)
    await realtime_patches.dispose(client)


def test_what_was_recorded_from_the_real_server_is_understood() -> None:
    realtime_patches.apply()
    parsed = module.ServerMessageAdapter.validate_json(
        '{"ref":null,"event":"postgres_changes","payload":{"data":{"table":"hotspots",'
        '"type":"INSERT","record":{"id": 185, "score": 3.5},"columns":[{"name": "id", "type":'
        ' "int8"}, {"name": "score", "type": "numeric"}],"errors":null,"schema":"public",'
        '"commit_timestamp":"2026-11-23T07:07:38.478Z"},"ids":[47890135]},'
        '"topic":"realtime:hotspots"}'
    )
    assert type(parsed).__name__ == "PostgresChangesMessage"


def test_uvicorn_has_the_parts_that_a_cut_needs() -> None:
    assert callable(WebSocketsSansIOProtocol.handle_connect)
    assert {"transport", "disconnected", "handshake_complete"} <= set(
        WebSocketsSansIOProtocol.__init__.__code__.co_names
    )


@pytest.mark.parametrize("failures", [0, 1, 3, 10, 10_000])
def test_the_pause_grows_to_a_limit_and_is_jittered(failures: int) -> None:
    longest = min(LONGEST_PAUSE_SECONDS, 0.5 * 2 ** min(failures, 20))
    assert pause(failures, 0.0) == 0
    assert pause(failures, 1.0) == longest
