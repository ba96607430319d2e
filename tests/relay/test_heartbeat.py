"""How long the relay waits for its own heartbeat row."""

import asyncio

from relay.clients.places import Identity
from relay.upstream.heartbeat import Heartbeat
from relay.upstream.rest import Rest


class Written(Rest):
    """Takes the heartbeat row and says when."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9", "key")
        self.written = asyncio.Event()

    async def heartbeat(self, instance: str, beat: int) -> int:
        self.written.set()
        return beat - 1


async def test_time_in_which_the_relay_stood_still_is_no_time_of_waiting() -> None:
    now, rest = 100.0, Written()
    heartbeat = Heartbeat(rest, Identity("this one"), lambda: now)
    beating = asyncio.create_task(heartbeat.run())
    await rest.written.wait()
    now = 102.0
    assert heartbeat.overdue_seconds() == 2
    now = 180.0  # stopped for more than a minute
    assert heartbeat.overdue_seconds() < 5
    now = 182.0
    assert heartbeat.overdue_seconds() > 6
    heartbeat.came_back()
    assert heartbeat.overdue_seconds() == 0
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    await rest.close()
