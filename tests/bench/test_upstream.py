"""The benchmark's upstream answers truthfully, and the relay works on it as on the real thing."""

from __future__ import annotations

import json

import httpx
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect

from bench import machine, rows
from bench.contestants.relay import counted, relay, upstream
from bench.follower import following
from bench.upstream.history import EPOCH, HOTSPOTS, After, History, Page

Commits = st.lists(st.integers(1, 7), max_size=8)


def filled(commits: list[int]) -> History:
    history = History()
    for at, count in enumerate(commits):
        history.commit(count, at, float(at))
        history.beat("relay", at)
    return history


def everything(history: History, since: str | None, page: int, between: list[int]) -> list[int]:
    """Ids over all pages, while rows are committed between them."""
    after: After = (0, 0, 0)
    upto, found, more = None, list[int](), True
    while more:
        answer = history.since(since, EPOCH, upto, after, page)
        found += [row.id for row in answer.rows]
        upto, more = answer.snapshot, answer.more
        if answer.rows:
            after = (answer.rows[-1].tx, HOTSPOTS, answer.rows[-1].id)
        if between:
            history.commit(between.pop(), 0, 0.0)
    return found


@given(Commits, Commits, Commits, st.integers(1, 9))
def test_pages_bring_each_row_once_that_the_first_one_shows_and_the_reader_has_not_seen(
    before: list[int], after: list[int], between: list[int], page: int
) -> None:
    history = filled(before)
    since, seen = history.snapshot(), len(history.rows)
    for count in after:
        history.commit(count, 0, 0.0)
    shown = len(history.rows)
    assert everything(history, since, page, list(between)) == list(range(seen + 1, shown + 1))


def test_a_snapshot_from_the_future_or_of_another_history_is_a_reset() -> None:
    history = filled([3])
    later = history.next_tx + 1
    future = history.since(f"{later}:{later}:", EPOCH, None, (0, 0, 0), 10)
    other = history.since(None, "1.00000001", None, (0, 0, 0), 10)
    assert [future.reset, other.reset] == ["future", "epoch"]
    assert history.since(None, None, None, (0, 0, 0), 10) == Page(
        history.snapshot(), history.rows, more=False
    )


@given(st.integers(0, 10**9), st.integers(1, 2**62))
def test_a_row_has_the_same_size_whatever_its_number(n: int, t: int) -> None:
    text = rows.text(n, t)
    assert (len(text), json.loads(text)["n"], json.loads(text)["t"]) == (350, n, t)


async def test_the_relay_sends_the_rows_that_the_others_are_given_and_asks_for_the_rest() -> None:
    port = machine.free_port()
    async with (
        upstream() as supabase,
        relay(supabase.url, supabase.key, port),
        connect(f"ws://127.0.0.1:{port}/ws/hotspots", proxy=None) as plain,
        following(port) as follower,
    ):
        before = await counted(port, "relay_deliveries_total")
        await supabase.publish(250, 0)
        got = [str(await plain.recv()) for _ in range(250)]
        assert [json.loads(text)["n"] for text in got] == list(range(250))
        assert {len(text) for text in got} == {rows.ROW_BYTES}
        # The others have no clock of a database: they are given the same row of another time.
        assert _columns(got[7]) == _columns(rows.text(7, json.loads(got[7])["t"]))
        await follower.reached(250, 10)
        # The cursor moves on when the relay has read them again, all from the first to the last.
        place = await follower.place(count=2)
        assert place.next == 250
        assert await counted(port, "relay_deliveries_total") > before + 250
        assert await counted(port, "relay_duplicates_dropped_total") == 250


def _columns(text: str | bytes) -> list[tuple[str, object]]:
    row = json.loads(text)
    return [(name, value) for name, value in row.items() if name != "created_at"]


async def test_what_the_upstream_does_not_imitate_it_says() -> None:
    async with upstream() as supabase, httpx.AsyncClient(trust_env=False, timeout=60) as http:
        headers = {"apikey": supabase.key}
        for path in ("rpc/decide_recommendation", "hotspots?order=entity.asc", "events_normalized"):
            method = "POST" if path.startswith("rpc") else "GET"
            answer = await http.request(
                method, f"{supabase.url}/rest/v1/{path}", headers=headers, json={}
            )
            assert (answer.status_code, answer.json()["code"]) == (501, "not_imitated")
        refused = await http.get(f"{supabase.url}/rest/v1/hotspots")
        assert refused.status_code == 401
