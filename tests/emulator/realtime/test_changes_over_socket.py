"""Changes as subscribers get them, over real sockets and a real database."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.emulator.realtime.conftest import Server

HOTSPOTS = {"event": "*", "schema": "public", "table": "hotspots"}


async def test_insert_update_and_delete_arrive_in_order(server: Server) -> None:
    client = await server.client()
    await client.join("t", HOTSPOTS)
    await server.sql("insert into hotspots (id, name, lat) values (7, 'a', 1.5)")
    print(await client.change())
    await server.sql("update hotspots set name = 'b' where id = 7")
    print(await client.change())
    await server.sql("delete from hotspots where id = 7")
    print(await client.change())
