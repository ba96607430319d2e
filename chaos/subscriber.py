"""`python -m chaos.subscriber LANE`: an application that follows Realtime by the official
client and nothing else. Prints `table id version` for each row that it is told of.

What it misses is what Realtime withheld: it comes back as the client does by itself, and trusts
it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Any

from realtime import (
    AsyncRealtimeClient,
    RealtimePostgresChangesListenEvent,
    RealtimeSubscribeStates,
)

from chaos.ledger import TABLES

READY = "ready"
LANES = ("postgres_changes", "broadcast")


def tell(change: Mapping[str, Any]) -> None:
    """A change, or nothing for what cannot be told apart: deletions have a version on one lane
    only."""
    row = change.get("record") or change.get("old_record") or {}
    if change.get("table") in TABLES and "version" in row:
        print(change["table"], row["id"], row["version"], flush=True)


def announced(payload: Any) -> None:
    """A broadcast of the database, with up to a hundred rows."""
    for change in payload["payload"]["changes"]:
        tell(change)


def state(now: RealtimeSubscribeStates, error: Exception | None) -> None:
    """How the subscription goes."""
    word = READY if now is RealtimeSubscribeStates.SUBSCRIBED else now.value
    print(word, error or "", flush=True)


async def follow(lane: str, url: str, key: str) -> None:
    """Print changes until the process is ended."""
    client = AsyncRealtimeClient(f"{url}/realtime/v1", key)
    if lane == "broadcast":
        channel = client.channel(
            "relay:changes",
            {"config": {"broadcast": None, "presence": None, "private": True}},
        ).on_broadcast("changes", announced)
    else:
        channel = client.channel("plain")
        for table in TABLES:
            channel.on_postgres_changes(
                RealtimePostgresChangesListenEvent.All,
                lambda payload: tell(payload["data"]),
                table=table,
                schema="public",
            )
    await channel.subscribe(state)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(follow(sys.argv[1], os.environ["SUPABASE_URL"], os.environ["SUPABASE_SECRET_KEY"]))
