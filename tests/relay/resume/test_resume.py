"""Clients that come back with a cursor: what they missed, all of it, or a reset."""

import asyncio
import time
from typing import Any

import pytest

from emulator.running import Emulator
from relay.client import Replica, frame_id
from relay.resume.backfill import Backfill, Backfills
from relay.resume.cursor import Cursor, Signer, bound
from relay.stream.change import HOTSPOTS
from relay.stream.filters import Filter
from relay.stream.snapshot import Snapshot
from tests.relay.clients import (
    Frame,
    Running,
    Tables,
    frame,
    greeted,
    live_relay,
    relay_of,
)
from tests.relay.proxy import proxy_to

SELDOM = {"RELAY_CATCH_UP_SECONDS": "60"}

pytestmark = pytest.mark.usefixtures("each_server")


class Holder(Replica):
    """What an application holds that follows the protocol, also over several connections."""

    def __init__(self, path: str = "hotspots") -> None:
        super().__init__()
        self.path = path

    def address(self) -> str:
        """Where to come back to."""
        mark = "&" if "?" in self.path else "?"
        return self.path if self.cursor is None else f"{self.path}{mark}cursor={self.cursor}"

    def take(self, frames: list[Frame]) -> int:
        """How many of the frames brought something new."""
        return sum(self.apply(each) for each in frames)


async def visit(relay: Running, holder: Holder) -> list[Frame]:
    """Everything up to `synced`, taken."""
    async with relay.follow(holder.address()) as events:
        found = await greeted(events)
    holder.take(found)
    return found


async def kinds(relay: Running) -> dict[str, int]:
    found: dict[str, int] = (await relay.health())["resumes"]
    return found


def make_gap(tables: Tables, ids: list[int]) -> list[int]:
    """Changes, deletes and adds rows; the ids that are left."""
    tables.execute("update hotspots set severity = 'critical' where id = %s", ids[0])
    tables.execute("update hotspots set status = 'resolved' where id = %s", ids[1])
    tables.execute("delete from hotspots where id = %s", ids[2])
    return [*(each for each in ids if each != ids[2]), tables.hotspot(), tables.hotspot()]


async def test_on_the_same_relay_from_memory(emulator: Emulator, tables: Tables) -> None:
    ids = [tables.hotspot() for _ in range(4)]
    async with live_relay(emulator) as relay:
        every, active = Holder(), Holder("hotspots?status=active")
        for holder in (every, active):
            await visit(relay, holder)
            assert sorted(holder.rows) == ids
        async with relay.follow("hotspots?last=0&status=ignored") as other:
            await greeted(other)
            left = make_gap(tables, ids)
            while (await frame(other))["type"] != "DELETE":  # catch-up brings it, with the rest
                pass
            await relay.until(lambda health: health["endpoints"]["hotspots"]["sent"] == 5)
        hello, *missed, synced = await visit(relay, every)
        assert (hello["resumed"], hello["reason"]) == (True, None)
        assert sorted(each["type"] for each in missed) == [
            *("DELETE", "INSERT", "INSERT", "UPDATE", "UPDATE")
        ]
        assert synced["complete"] is True
        assert sorted(every.rows) == left
        _, *missed, _ = await visit(relay, active)
        assert sorted(each["type"] for each in missed) == [
            *("DELETE", "INSERT", "INSERT", "LEAVE", "UPDATE")
        ]
        assert sorted(active.rows) == [each for each in left if each != ids[1]]
        assert (await kinds(relay)) == {"seq": 2}


async def test_on_the_same_relay_a_cursor_is_an_exact_place(
    emulator: Emulator, tables: Tables
) -> None:
    """No change comes again that was received before the cursor."""
    async with live_relay(emulator, RELAY_CATCH_UP_SECONDS="0.5") as relay:
        holder = Holder()
        async with relay.follow("hotspots") as events:
            holder.take(await greeted(events))
            first, second = tables.hotspot(), tables.hotspot()
            while (told := await frame(events))["type"] != "cursor" or second not in holder.rows:
                holder.take([told])
            holder.take([told])
        third = tables.hotspot()
        await relay.until(lambda health: health["endpoints"]["hotspots"]["sent"] == 3)
        _, *missed, _ = await visit(relay, holder)
        assert [frame_id(each) for each in missed] == [third]
        assert sorted(holder.rows) == [first, second, third]
        assert (await kinds(relay)) == {"seq": 1}


async def test_a_seq_that_a_client_makes_up_changes_nothing(
    emulator: Emulator, tables: Tables
) -> None:
    async with live_relay(emulator, **SELDOM) as relay:
        holder = Holder()
        await visit(relay, holder)
        row = tables.hotspot()
        await relay.until(lambda health: health["endpoints"]["hotspots"]["sent"] == 1)
        for seq in ("0", "1", "9007199254740992", "nonsense"):
            async with relay.follow(f"{holder.address()}&seq={seq}") as events:
                hello, *missed, _ = await greeted(events)
            assert hello["resumed"] is True
            assert [frame_id(each) for each in missed] == [row]


async def test_on_another_relay_from_its_memory(emulator: Emulator, tables: Tables) -> None:
    ids = [tables.hotspot() for _ in range(4)]
    quick = {"RELAY_CATCH_UP_SECONDS": "0.1"}
    async with live_relay(emulator, **quick) as other, live_relay(emulator, **quick) as one:
        holder = Holder()
        await visit(one, holder)
        # The other one has to know a snapshot which shows nothing that the cursor does not show.
        async with other.follow("hotspots?last=0&status=ignored") as idle:
            await greeted(idle)
            left = make_gap(tables, ids)
            while (await frame(idle))["type"] != "cursor":
                pass
        hello, *_ = await visit(other, holder)
        assert hello["resumed"] is True
        assert sorted(holder.rows) == left
        assert (await kinds(other)) == {"memory": 1}


async def test_a_thousand_changes_on_a_restarted_relay(emulator: Emulator, tables: Tables) -> None:
    ids = [tables.hotspot() for _ in range(4)]
    every, active = Holder(), Holder("hotspots?status=active")
    async with live_relay(emulator) as relay:
        await visit(relay, every)
        await visit(relay, active)
    left = make_gap(tables, ids)
    tables.execute(
        "insert into hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,"
        " percent_above, severity) select 'S' || n, 'supplier', 'logistics', 2, 1, 100, 'warn'"
        " from generate_series(1, 1000) n"
    )
    async with live_relay(emulator) as relay:
        hello, *missed, _ = await visit(relay, every)
        assert hello["resumed"] is True
        assert len(missed) == 1005
        assert set(left) < set(every.rows)
        assert len(every.rows) == len(left) + 1000
        hello, *missed, _ = await visit(relay, active)
        assert hello["resumed"] is True
        assert len(missed) == 1005
        assert every.rows.keys() - active.rows.keys() == {ids[1]}
        assert (await kinds(relay)) == {"rest": 2}
        tables.hotspot()
        hello, *missed, _ = await visit(relay, every)
        assert hello["resumed"] is True


async def test_what_comes_while_a_replay_is_read_is_in_it_once(
    emulator: Emulator, tables: Tables
) -> None:
    async with live_relay(emulator) as relay:
        holder = Holder()
        await visit(relay, holder)
    tables.execute(
        "insert into hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,"
        " percent_above, severity) select 'S' || n, 'supplier', 'logistics', 2, 1, 100, 'warn'"
        " from generate_series(1, 3000) n"
    )
    async with live_relay(emulator, RELAY_CATCH_UP_SECONDS="0.1") as relay:
        async with relay.follow(holder.address()) as events:
            greeting = asyncio.create_task(greeted(events))
            for number in range(50):
                tables.execute(
                    "update hotspots set severity = 'info' where entity = %s", f"S{number + 1}"
                )
                await asyncio.sleep(0)
            hello, *missed, _ = await greeting
            assert hello["resumed"] is True
            assert holder.take(missed) == len(missed)
            last = tables.hotspot()
            while last not in holder.rows:
                found = await frame(events)
                assert holder.take([found]) == ("version" in found)
        severities = [row["severity"] for row in holder.rows.values()]
        assert (len(severities), severities.count("info")) == (3001, 50)


async def test_many_clients_of_a_dead_relay_cost_a_few_reads(
    emulator: Emulator, tables: Tables
) -> None:
    holders = [Holder(("hotspots", "hotspots?status=active")[n % 2]) for n in range(60)]
    async with live_relay(emulator, RELAY_CATCH_UP_SECONDS="0.2") as relay:
        for number in range(0, 60, 20):
            await asyncio.gather(*(visit(relay, each) for each in holders[number : number + 20]))
            async with relay.follow("hotspots") as events:
                await greeted(events)
                tables.hotspot()  # so that the cursors differ
                while (await frame(events))["type"] != "cursor":
                    pass
    assert len({holder.cursor for holder in holders}) > 3
    missed = tables.hotspot()
    async with (
        proxy_to(emulator.url) as proxy,
        live_relay(emulator, SUPABASE_URL=proxy.url, **SELDOM) as relay,
    ):
        proxy.count_requests(b" /rest/v1/rpc/changes_since")
        found = await asyncio.gather(*(visit(relay, holder) for holder in holders))
        assert all(frames[0]["resumed"] for frames in found)
        assert all(missed in holder.rows for holder in holders)
        assert proxy.count < len(holders) / 2  # catch-up asks too, and more often on a busy machine
        assert (await kinds(relay)) == {"rest": 60}


KEY = "a key of the test"


async def test_a_cursor_names_a_beat_that_was_written_after_its_snapshot(
    emulator: Emulator, tables: Tables
) -> None:
    """So an image of the disk that knows the beat knows all that the snapshot shows."""
    beats: dict[int, int] = {}  # beat -> the transaction that wrote it
    async with relay_of(emulator) as relay, relay.follow("hotspots") as events:
        cursors = [
            Signer(emulator.keys.secret).read(each["cursor"])
            for each in await greeted(events)
            if each.get("cursor")
        ]
        for _ in range(3):
            tables.hotspot()
            while (told := await frame(events))["type"] != "cursor":
                pass
            cursors.append(Signer(emulator.keys.secret).read(told["cursor"]))
            beat = tables.execute("select beat from relay_heartbeats")
            beats[beat] = tables.execute("select xmin::text::bigint from relay_heartbeats")
    checked = [cursor for cursor in cursors if cursor.beat in beats]
    assert checked
    for cursor in checked:
        assert not cursor.snapshot.shows(beats[cursor.beat])


async def test_a_relay_whose_row_went_back_tells_its_clients_to_start_anew(
    emulator: Emulator, tables: Tables
) -> None:
    first = tables.hotspot()
    async with live_relay(emulator) as relay:
        holder = Holder()
        async with relay.follow("hotspots") as events:
            holder.take(await greeted(events))
            tables.execute("update relay_heartbeats set beat = beat - 1")
            tables.hotspot()  # so that the next catch-up has something to confirm
            while (told := await frame(events))["type"] != "reset":
                pass
            assert told["reason"] == "epoch"
            holder.take(await greeted(events))
        assert first in holder.rows


def forged(emulator: Emulator, **changed: Any) -> str:
    """A cursor as a relay of this database would sign it."""
    good = Cursor(
        snapshot=Snapshot(3, 3),
        epoch="",
        instance="00000000-0000-4000-8000-000000000001",
        beat=7,
        endpoint="hotspots",
        filter=bound(Filter(HOTSPOTS)),
        issued=int(time.time()),
    )
    return Signer(KEY).sign(good._replace(**changed))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"epoch": "1.00000001"}, "epoch"),
        ({"beat": 8}, "epoch"),
        ({"instance": "00000000-0000-4000-8000-000000000002"}, "epoch"),
        ({"snapshot": Snapshot(2**40 + 5, 2**40 + 5)}, "epoch"),
        ({"issued": 0}, "expired"),
        ({"filter": "x"}, "mismatch"),
    ],
)
async def test_whether_a_signed_cursor_is_honoured(
    emulator: Emulator, tables: Tables, changed: dict[str, Any], reason: str | None
) -> None:
    hotspot = tables.hotspot()
    tables.execute("select relay_heartbeat('00000000-0000-4000-8000-000000000001', 7)")
    epoch = tables.execute("select relay_epoch()")
    presented = forged(emulator, **({"epoch": epoch} | changed))
    async with relay_of(emulator, RELAY_CURSOR_KEY=KEY) as relay:
        await relay.until(lambda health: health["endpoints"]["hotspots"]["lag_seconds"] is not None)
        async with relay.follow(f"hotspots?cursor={presented}") as events:
            hello, *frames = await greeted(events)
    assert (hello["resumed"], hello["reason"]) == (reason is None, reason)
    assert [each["reason"] for each in frames if each["type"] == "reset"] == [reason][
        : len(frames) - 2
    ]
    assert [frame_id(each) for each in frames if "record" in each] == [hotspot]


async def test_too_much_is_answered_by_a_reset(emulator: Emulator, tables: Tables) -> None:
    async with live_relay(emulator) as relay:
        old, new = Holder(), Holder()
        await visit(relay, old)
        tables.execute(
            "insert into hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,"
            " percent_above, severity) select 'S' || n, 'supplier', 'logistics', 2, 1, 100, 'warn'"
            " from generate_series(1, 1500) n"
        )
        await relay.until(lambda health: health["endpoints"]["hotspots"]["sent"] == 1500)
        async with relay.follow("hotspots?last=0&status=ignored") as events:
            await greeted(events)
            tables.hotspot()
            while (await frame(events))["type"] != "cursor":
                pass
        await visit(relay, new)
        tables.hotspot()
    async with live_relay(emulator, RELAY_RESUME_ROWS="1000") as relay:
        first, second = await asyncio.gather(visit(relay, old), visit(relay, new))
        assert (first[0]["resumed"], first[0]["reason"]) == (False, "expired")
        assert second[0]["resumed"] is True
        assert len(second) == 3  # and one change


async def test_a_cursor_from_before_pruned_deletions_is_answered_by_a_reset_and_no_other(
    emulator: Emulator, tables: Tables
) -> None:
    ids = [tables.hotspot() for _ in range(2)]
    old, new = Holder(), Holder()
    async with live_relay(emulator) as relay:
        await visit(relay, old)
        tables.execute("delete from hotspots where id = %s", ids[0])
        await relay.until(lambda health: health["endpoints"]["hotspots"]["sent"] == 1)
        async with relay.follow("hotspots?last=0&status=ignored") as events:
            await greeted(events)
            tables.hotspot()
            while (await frame(events))["type"] != "cursor":
                pass
        await visit(relay, new)
        row = tables.hotspot()
    tables.execute("update deletions set deleted_at = deleted_at - interval '8 days'")
    tables.execute("select public.prune('7 days')")
    async with live_relay(emulator) as relay:
        first, second = await asyncio.gather(visit(relay, old), visit(relay, new))
        assert (first[0]["resumed"], first[0]["reason"]) == (False, "expired")
        assert ids[0] not in old.rows
        assert second[0]["resumed"] is True
        assert [frame_id(each) for each in second if "record" in each] == [row]


async def test_who_comes_back_while_rest_is_down_is_kept_and_served_later(
    emulator: Emulator, tables: Tables
) -> None:
    holder = Holder()
    async with live_relay(emulator) as relay:
        await visit(relay, holder)
    missed = tables.hotspot()
    async with (
        proxy_to(emulator.url) as proxy,
        live_relay(
            emulator, SUPABASE_URL=proxy.url, RELAY_REALTIME_URL=f"{emulator.url}/realtime/v1"
        ) as relay,
    ):
        proxy.cut()
        async with relay.follow(holder.address()) as events:
            await events.send('{"type":"ping"}')
            hello = await frame(events)
            assert (hello["type"], hello["resumed"]) == ("hello", True)
            told = {(await frame(events))["type"], (await frame(events))["type"]}
            assert told == {"pong", "status"}
            proxy.open = True
            found = await greeted(events)
            holder.take(found)
            assert holder.rows.keys() == {missed}
            assert found[-1]["cursor"]


async def test_a_database_restored_between_the_last_page_and_the_answer_is_told_by_a_reset(
    emulator: Emulator, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before is of another history, and newer than what there is now."""
    holder, first = Holder(), tables.hotspot("info")
    async with live_relay(emulator) as relay:
        await visit(relay, holder)
    tables.execute("update hotspots set severity = 'critical' where id = %s", first)

    async def restored_meanwhile(reads: Backfills, *given: Any) -> Backfill:
        missed = await get(reads, *given)
        monkeypatch.setattr(Backfills, "get", get)
        generation = reads._broker.hub.generation
        restore(tables, first)
        async with asyncio.timeout(20):
            while reads._broker.hub.generation == generation:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return missed

    async with live_relay(emulator, RELAY_CATCH_UP_SECONDS="0.5") as relay:
        get = Backfills.get
        monkeypatch.setattr(Backfills, "get", restored_meanwhile)
        found = await visit(relay, holder)
    assert [each["reason"] for each in found if each["type"] == "reset"] == ["epoch"]
    assert holder.rows[first]["severity"] == "info"


def restore(tables: Tables, row: int) -> None:
    """Brings an image of the disk back on which that row was not changed yet."""
    tables.execute("alter table hotspots disable trigger user")
    tables.execute("update hotspots set severity = 'info', version = 1 where id = %s", row)
    tables.execute("alter table hotspots enable trigger user")
    tables.execute("update relay_heartbeats set beat = beat - 1")
    tables.hotspot()  # so that the next catch-up has something to confirm
