"""Frontends that use Supabase directly see what the policies say, whichever client they use."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio.to_thread
from supabase import AsyncClient

from tests.integration.conftest import DEADLINE_SECONDS, Supabase
from tests.integration.following import follow, supabase_js
from tests.node import JAVASCRIPT, install, node


async def test_both_clients_receive_the_same_hotspot_and_anon_receives_no_row(
    supabase: Supabase,
    service: AsyncClient,
    user: AsyncClient,
    anon: AsyncClient,
) -> None:
    program = node()
    await anyio.to_thread.run_sync(install, JAVASCRIPT)
    binding = {"event": "*", "schema": "public", "table": "hotspots"}
    filtered = {**binding, "filter": f"entity=eq.{supabase.entity}"}
    session = await user.auth.get_session()
    assert session is not None
    async with asyncio.timeout(DEADLINE_SECONDS):
        seen = await follow(user, filtered["filter"])
        unseen = await follow(anon)
        address = (program, supabase.url, supabase.publishable)
        async with (
            supabase_js(*address, session.access_token, filtered) as seen_js,
            supabase_js(*address, "", binding) as unseen_js,
        ):
            inserted = await service.table("hotspots").insert(supabase.hotspot()).execute()
            (row,) = inserted.data
            by_python, by_javascript = await seen.get(), await seen_js.get()
            refused = await unseen_js.get()
            await anon.realtime.remove_all_channels()
    assert by_python["data"]["record"] == by_javascript["new"] == row
    assert by_python["data"]["errors"] is None
    # What anon may not read is announced without any of it, in a form that realtime-py drops.
    assert (refused["new"], refused["errors"]) == ({}, ["Error 401: Unauthorized"])
    assert unseen.empty()


async def test_a_silence_and_its_end_are_heard_of_by_who_is_signed_in(
    supabase: Supabase, user: AsyncClient, anon: AsyncClient
) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    asked = {"entity": supabase.entity, "until": until, "why": "a test"}
    async with asyncio.timeout(DEADLINE_SECONDS):
        seen = await follow(user, f"entity=eq.{supabase.entity}", "silences")
        unseen = await follow(anon, table="silences")
        made: Any = (await user.rpc("silence", asked).execute()).data
        begun = await seen.get()
        ended = (await user.rpc("end_silence", {"id": made["id"]}).execute()).data
        over = await seen.get()
        await anon.realtime.remove_all_channels()
    assert (begun["data"]["type"], over["data"]["type"]) == ("INSERT", "UPDATE")
    assert (begun["data"]["record"], over["data"]["record"]) == (made, ended)
    assert unseen.empty()
