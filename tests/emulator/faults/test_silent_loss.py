"""Changes that the real server loses without a word: the socket stays open, nothing is told."""

from __future__ import annotations

import asyncio
import logging

import psycopg
import pytest

from emulator.database import Database
from tests.emulator.faults.conftest import (
    OTHERS,
    OWNED,
    TICKING,
    TICKS,
    Client,
    Ground,
    Ledger,
    scaled,
    serving,
    until,
    writing,
)

logger = logging.getLogger(__name__)

TERMINATE = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where datname = current_database() and application_name = '{}'
"""


async def terminate(ground: Ground, name: str) -> None:
    await ground.sql(TERMINATE.format(name), user="supabase_admin")


async def lost_in_silence(ledger: Ledger, client: Client) -> list[int]:
    """The loss, after which changes come again; without having been told anything."""
    await until(lambda: bool(ledger.lost(client)))
    lost = ledger.lost(client)
    logger.info("committed %d, withheld %d", len(ledger.committed), len(lost))
    assert await client.is_answered()
    assert client.told == []
    assert client.ids == sorted(set(client.ids))
    return lost


async def test_what_is_committed_while_the_poller_reconnects_is_lost(ground: Ground) -> None:
    client = await ground.client()
    await client.join("t", TICKS)
    async with writing(ground.emulator.database, TICKING) as ledger:
        await until(lambda: len(client.ids) > 5)
        await terminate(ground, "realtime_rls")
        lost = await lost_in_silence(ledger, client)
    assert lost == [*range(lost[0], lost[-1] + 1)]


async def test_terminated_connections_for_subscriptions_lose_nothing(ground: Ground) -> None:
    client = await ground.client()
    await client.join("t", OTHERS)
    await terminate(ground, "realtime_subscription_manager")
    await ground.sql("insert into others values (1), (2)")
    await until(lambda: client.ids == [1, 2])


async def test_broadcasts_are_lost_while_their_replication_reconnects(ground: Ground) -> None:
    client = await ground.client()
    await client.join("t", private=False)
    send = "select realtime.send(jsonb_build_object('id', %(n)s::int), 'e', 't', false)"
    async with writing(ground.emulator.database, send) as ledger:
        await until(lambda: len(client.ids) > 5)
        await terminate(ground, "realtime_broadcast")
        await lost_in_silence(ledger, client)


async def test_a_locked_table_loses_the_changes_of_all_tables(project: Database) -> None:
    async with serving(project, scaled(poll_ms=20, poll_seconds=0.2)) as ground:
        client = await ground.client()
        await client.join("t", TICKS, OTHERS)
        locking = await psycopg.AsyncConnection.connect(project.dsn(), autocommit=True)
        async with locking, writing(project, TICKING) as ledger:
            await until(lambda: len(client.ids) > 3)
            await locking.execute(
                "begin; insert into others values (0); commit;"
                " begin; lock table others in access exclusive mode"
            )
            last_before = ledger.committed[-1]
            locked_until = await ledger.written(70)
            assert max(client.ids) <= last_before + 20
            await locking.execute("rollback")
            lost = await lost_in_silence(ledger, client)
    assert len(lost) > 30
    assert lost[-1] >= locked_until - 5
    assert 0 not in client.ids


async def test_a_subscriber_whose_policy_raises_loses_the_polls_of_all_until_after_it_left(
    project: Database,
) -> None:
    async with serving(project, scaled(unsubscribe_ms=400)) as ground:
        client = await ground.client()
        await client.join("t", TICKS)
        poison = await ground.client(ground.user("not-a-uuid"))
        await poison.join("p", OWNED)
        both = "begin; insert into ticks (id) values ({0}); insert into owned values ({0}); commit"
        await ground.sql(both.format(1), "insert into others values (1)")
        await until(lambda: ground.emulator.faults.lost["poll"] == 2)
        await poison.connection.close()
        await ground.sql(both.format(2))
        await until(lambda: ground.emulator.faults.lost["poll"] == 4)
        committed = [await ground.count(table) for table in ("ticks", "owned", "others")]
        assert (committed, client.ids) == ([2, 2, 1], [])
        assert (poison.ids, poison.told) == ([], [])
        async with asyncio.timeout(5):
            number = 3
            while not client.ids:
                await ground.sql(both.format(number))
                number += 1
                await asyncio.sleep(0.05)
        assert not {1, 2} & {*client.ids}, "withheld for good"
        assert await client.is_answered()
        assert client.told == []


async def test_polls_without_the_poisoned_table_pass(ground: Ground) -> None:
    client = await ground.client()
    await client.join("t", TICKS)
    poison = await ground.client(ground.user("not-a-uuid"))
    await poison.join("p", OWNED)
    await ground.sql("insert into owned values (1)")
    await until(lambda: ground.emulator.faults.lost["poll"] == 1)
    await ground.sql("insert into ticks (id) values (1)")
    await until(lambda: client.ids == [1])
    assert await poison.is_answered()
    assert (poison.ids, poison.told, await ground.count("owned")) == ([], [], 1)


async def test_a_column_renamed_before_the_poll_loses_it(ground: Ground) -> None:
    client = await ground.client()
    await client.join("t", TICKS)
    await ground.sql(
        "begin; insert into ticks (id) values (1), (2);"
        " alter table ticks rename column note to remark; commit"
    )
    await until(lambda: ground.emulator.faults.lost["poll"] == 2)
    await ground.sql("insert into ticks (id) values (3)")
    await until(lambda: client.ids == [3])
    assert await ground.count("ticks") == 3, "two that are withheld for good"
    assert await client.is_answered()
    assert client.told == []


async def test_a_column_dropped_before_the_poll_loses_it(ground: Ground) -> None:
    client = await ground.client()
    await client.join("t", {**TICKS, "filter": "note=eq.x"}, OTHERS)
    await ground.sql(
        "begin; insert into ticks values (1, 'x'); insert into others values (2);"
        " alter table ticks drop column note; commit"
    )
    await until(lambda: ground.emulator.faults.lost["poll"] == 2)
    await ground.sql("insert into others values (3)")
    await until(lambda: client.ids == [3])
    assert [await ground.count("ticks"), await ground.count("others")] == [1, 2]
    assert await client.is_answered()
    assert client.told == []


async def test_a_row_deleted_before_the_poll_is_announced_by_its_deletion_only(
    project: Database,
) -> None:
    async with serving(project, scaled(poll_ms=40)) as ground:
        client = await ground.client()
        await client.join("t", TICKS)
        await ground.sql(
            "begin; insert into ticks (id) values (1), (2); commit;"
            " begin; update ticks set note = 'x' where id = 1;"
            " delete from ticks where id = 1; commit"
        )
        await until(lambda: sorted(client.ids) == [1, 2])
        await ground.sql("insert into ticks (id) values (3)")
        await until(lambda: 3 in client.ids)
        announced = sorted(zip(client.types, client.ids, strict=True))
        assert announced == [("DELETE", 1), ("INSERT", 2), ("INSERT", 3)]
        assert await client.is_answered()
        assert client.told == []


async def test_a_newly_published_table_is_silent_until_another_system_message(
    project: Database,
) -> None:
    async with serving(project, scaled(publication_ms=400)) as ground:
        everything, one = await ground.client(), await ground.client()
        await everything.join("t", {"event": "*", "schema": "public"})
        await one.join("t", TICKS)
        await ground.sql(
            "create table late (id bigint primary key)",
            "grant all on late to anon",
            "alter publication supabase_realtime add table late",
        )
        async with writing(project, "insert into late values (%(n)s)") as ledger:
            await until(lambda: everything.systems("t") == ["ok"] == one.systems("t"))
            last_before = ledger.committed[-1]
            await ledger.healed(everything)
        assert await everything.is_answered()
        assert await one.is_answered()
        assert [len(client.told) for client in (everything, one)] == [1, 1], "the system message"
        lost = ledger.lost(everything)
    logger.info("committed %d, withheld %d", len(ledger.committed), len(lost))
    assert lost
    assert lost[-1] <= last_before + 1


async def test_rows_between_the_reply_and_the_system_message_of_a_cold_join_are_lost(
    project: Database,
) -> None:
    async with serving(project, scaled(cold_join_ms=300)) as ground:
        first, second = await ground.client(), await ground.client()
        async with writing(project, TICKING) as ledger:
            await first.start_join("t", TICKS)
            await until(lambda: len(first.told) == 1)
            replied = len(ledger.committed)
            await until(lambda: first.systems("t") == ["ok"])
            ready = len(ledger.committed)
            await ledger.healed(first)
            await second.join("t", TICKS)  # which is not cold any more
        assert await first.is_answered()
        assert [frame["event"] for frame in first.told] == ["phx_reply", "system"]
    lost = [id_ for id_ in ledger.committed[replied:ready] if id_ not in first.ids]
    logger.info("committed %d, withheld %d", ready - replied, len(lost))
    assert len(lost) > 3
    assert ledger.lost(first)[-1] <= ledger.committed[ready]


@pytest.mark.parametrize("lane", ["postgres_changes", "broadcast"])
async def test_over_the_rate_limit_all_is_dropped_until_the_average_falls(
    project: Database, lane: str
) -> None:
    # The window is 60 ticks of 40 ms, so that 48 events are the most that the average allows.
    async with serving(project, scaled(rate_limit=20, rate_tick_seconds=0.04)) as ground:
        client, other = await ground.client(), await ground.client()
        await client.join("t", *([TICKS] if lane == "postgres_changes" else []))
        await other.join("u", *([] if lane == "postgres_changes" else [TICKS]))
        send = "select realtime.send(jsonb_build_object('id', {0}), 'e', '{1}', false)"
        if lane == "postgres_changes":
            burst = "insert into ticks (id) select generate_series(-60, -1)"
            one, unlimited = TICKING, send.format(1, "u")
        else:
            burst = send.format("n", "t") + " from generate_series(-60, -1) n"
            one = send.format("%(n)s::int", "t")
            unlimited = "insert into ticks (id) values (1)"
        await ground.sql(burst)
        await until(lambda: client.ids == [*range(-60, 0)])
        await ground.sql(unlimited)
        await until(lambda: other.ids == [1])  # which is counted apart
        async with writing(project, one) as ledger:
            lost = await lost_in_silence(ledger, client)
    assert len(lost) > 20
