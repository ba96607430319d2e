"""The emulator sends what the real server was recorded to send, byte for byte but for times."""

from __future__ import annotations

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from emulator.identity import Keys
from tests.emulator.realtime import recordings
from tests.emulator.realtime.conftest import Client, Server

ROW = "insert into hotspots (id, name, lat, lon, score) values ({}, 'upd', 1, 2, 3.5)"
FULL = "alter table hotspots replica identity full"
# What was there before the recording began.
BEFORE = {
    "update_default": ROW.format(1),
    "update_noop": ROW.format(1001),
    "update_pk_default": ROW.format(1),
    "delete_default": ROW.format(1001),
    "delete_full": f"{FULL}; {ROW.format(5000)}",
    "upsert": ROW.format(1).replace("1, 2, 3.5", "null, null, null"),
}
CHANGES = [
    *BEFORE,
    "column_types",
    "join_ok",
    "insert",
    "truncate",
    "nopk",
    "vsn1",
    "vsn2",
    "leave",
]
FILTERED = ["filter_eq", "filter_eq_update_crossing"]
REFUSED_BINDINGS = [
    "bad_and_good",
    "bad_filter_column",
    "bad_filter_op",
    "bad_filter_undefined",
    "bad_filter_value",
    "config_missing",
    "in_too_many",
    "join_unknown_role",
    "no_table_no_schema",
    "pgc_empty",
    "pgc_wrong_type",
    "table_not_exist",
    "table_not_exist_and_good",
    "table_not_in_publication",
]
REFUSED_TOKENS = [
    "access_token_bad",
    "access_token_expired",
    "access_token_wrong_secret",
    "join_expired_jwt",
    "join_garbage_jwt",
    "join_invalid_jwt",
    "join_no_role",
]
FORGED = ("access_token_wrong_secret", "join_invalid_jwt", "connect_invalid_jwt")
CONNECTS = [
    "connect_expired_jwt",
    "connect_garbage_apikey",
    "connect_invalid_jwt",
    "connect_missing_apikey",
    "connect_no_exp",
    "connect_no_role",
    "connect_vsn_bad",
]


@pytest.mark.parametrize(
    "name",
    [*CHANGES, *FILTERED, *REFUSED_BINDINGS, *REFUSED_TOKENS, "heartbeat", "heartbeat_v2"],
)
async def test_frames_are_those_of_the_recording(server: Server, name: str) -> None:
    if name in BEFORE:
        await server.sql(BEFORE[name])
    for table in ("hotspots", "types"):
        if (start := recordings.first_id(name, table)) is not None:
            await server.sql(f"alter table {table} alter id restart with {start}")
    forger = Keys.generate() if name in FORGED else None
    client: Client | None = None
    for step in recordings.steps(name):
        match step.direction:
            case "open":
                url = recordings.with_tokens(step.content["url"], server.keys)
                vsn = "2.0.0" if "vsn=2" in url else "1.0.0"
                client = await server.client(url.partition("apikey=")[2], vsn)
            case "send":
                assert client is not None
                raw = step.content["raw"]
                signer = forger if '"ref": "2"' in raw or "join_" in name else None
                await client.connection.send(recordings.with_tokens(raw, server.keys, signer))
            case "sql":
                await server.sql(step.content["sql"])
            case "recv":
                assert client is not None
                expected = recordings.masked(step.content["raw"])
                assert recordings.masked(await client.raw()) == expected


@pytest.mark.parametrize("name", CONNECTS)
async def test_refused_connections_get_the_recorded_answer(server: Server, name: str) -> None:
    recorded = recordings.steps(name)
    url = recorded[0].content["url"].partition("/socket/websocket")[2]
    keys = Keys.generate() if name in FORGED else server.keys
    address = server.url.replace("http", "ws", 1) + "/realtime/v1/websocket"
    with pytest.raises(InvalidStatus) as refusal:
        await connect(address + recordings.with_tokens(url, keys))
    response = refusal.value.response
    assert response.status_code == recorded[-1].content["status"]
    assert (response.body or b"").decode() == recorded[-1].content["body"]


async def test_an_unknown_path_is_not_found(server: Server) -> None:
    (recorded,) = recordings.steps("connect_path_wrong")[-1:]
    address = server.url.replace("http", "ws", 1) + "/realtime/v1/socket/websocket"
    with pytest.raises(InvalidStatus) as refusal:
        await connect(address)
    assert refusal.value.response.status_code == recorded.content["status"]
    assert (refusal.value.response.body or b"").decode() == recorded.content["body"]
