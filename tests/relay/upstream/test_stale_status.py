"""A client that comes later is not told what the relay's sources once were."""

import json

from emulator.running import Emulator
from tests.relay.clients import Tables, frame, greeted, relay_of
from tests.relay.proxy import proxy_to


async def test_a_new_client_is_told_the_present_state_only(
    emulator: Emulator, tables: Tables
) -> None:
    async with (
        proxy_to(emulator.url) as proxy,
        relay_of(emulator, RELAY_REALTIME_URL=f"{proxy.url}/realtime/v1") as relay,
    ):
        await relay.until(lambda health: health["upstream"] == "live")
        async with relay.follow("alerts") as first:
            await greeted(first)
            proxy.cut()
            while (await frame(first)).get("upstream") != "degraded":
                continue
            proxy.open = True
            while (await frame(first)).get("upstream") != "live":
                continue
            async with relay.follow("alerts") as second:
                await second.send(json.dumps({"type": "ping"}))
                told = [await frame(second)]
                while told[-1]["type"] != "synced":
                    told.append(await frame(second))
                await second.send(json.dumps({"type": "ping"}))
                while [each["type"] for each in told].count("pong") < 2:
                    told.append(await frame(second))
    assert "status" not in [each["type"] for each in told]
