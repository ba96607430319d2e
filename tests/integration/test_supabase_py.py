"""Everyday features of supabase-py: tables, functions, sign-in, changes and broadcast."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from postgrest.exceptions import APIError
from supabase_auth.errors import AuthApiError

from tests.integration.conftest import DEADLINE_SECONDS, Member, Supabase, client
from tests.integration.following import follow


async def inserted(service: Any, supabase: Supabase, **more: object) -> Any:
    (row,) = (await service.table("hotspots").insert(supabase.hotspot(**more)).execute()).data
    return row


async def test_rows_are_inserted_found_changed_and_deleted(
    supabase: Supabase, service: Any
) -> None:
    rows = [supabase.hotspot(event_type=kind) for kind in ("logistics", "factory", "delivery")]
    made = (await service.table("hotspots").insert(rows).execute()).data
    assert [row["event_type"] for row in made] == ["logistics", "factory", "delivery"]
    assert {row["version"] for row in made} == {1}
    of_entity = service.table("hotspots").select("event_type", count="exact")
    found = await of_entity.eq("entity", supabase.entity).order("event_type").range(1, 2).execute()
    assert (found.count, [row["event_type"] for row in found.data]) == (3, ["factory", "logistics"])
    either = service.table("hotspots").select("id").eq("entity", supabase.entity)
    chosen = await either.or_("event_type.eq.factory,event_type.like.deliv*").execute()
    assert sorted(row["id"] for row in chosen.data) == [made[1]["id"], made[2]["id"]]
    changing = service.table("hotspots").update({"severity": "warn"}).eq("id", made[0]["id"])
    (changed,) = (await changing.execute()).data
    assert (changed["severity"], changed["version"]) == ("warn", 2)
    gone = await service.table("hotspots").delete().eq("id", made[0]["id"]).execute()
    assert [row["id"] for row in gone.data] == [made[0]["id"]]
    rest = service.table("hotspots").select("id").eq("id", made[0]["id"])
    assert await rest.maybe_single().execute() is None


async def test_tables_are_embedded_in_each_other(
    supabase: Supabase, service: Any, user: Any
) -> None:
    hotspot = await inserted(service, supabase)
    alerts = [
        {"hotspot_id": hotspot["id"], "level": level, "message": level}
        for level in ("warn", "critical")
    ]
    await service.table("alerts").insert(alerts).execute()
    of_entity = user.table("hotspots").select("entity,alerts(level),recommendations(action)")
    of_entity = of_entity.eq("entity", supabase.entity).order("id", foreign_table="alerts")
    (seen,) = (await of_entity.execute()).data
    assert seen == {
        "entity": supabase.entity,
        "alerts": [{"level": "warn"}, {"level": "critical"}],
        "recommendations": [],
    }
    severe = user.table("hotspots").select("id,alerts!inner(level)", count="exact")
    severe = severe.eq("entity", supabase.entity).eq("alerts.level", "critical")
    assert ((await severe.execute()).count, (await severe.execute()).data) == (
        1,
        [{"id": hotspot["id"], "alerts": [{"level": "critical"}]}],
    )
    spread = user.table("alerts").select("level,...hotspots(entity)").eq("level", "warn")
    (row,) = (await spread.eq("hotspot_id", hotspot["id"]).execute()).data
    assert row == {"level": "warn", "entity": supabase.entity}


async def test_an_upsert_changes_what_is_there(supabase: Supabase, service: Any) -> None:
    row: dict[str, object] = {
        "entity": supabase.entity,
        "entity_type": "supplier",
        "event_type": "factory",
        "late": 1,
        "state": {"gaps": [1.5]},
    }
    keys = "entity,entity_type,event_type"
    table = service.table("detector_keys")
    for late in (1, 2):
        (kept,) = (await table.upsert({**row, "late": late}, on_conflict=keys).execute()).data
        assert kept["late"] == late
    left = await table.upsert(
        {**row, "late": 9}, on_conflict=keys, ignore_duplicates=True
    ).execute()
    assert left.data == []


async def test_refusals_carry_the_database_s_words(
    supabase: Supabase, service: Any, anon: Any, user: Any
) -> None:
    refused: list[tuple[Any, str]] = [
        (anon.table("hotspots").select("*"), "42501"),
        (user.table("hotspots").insert(supabase.hotspot()), "42501"),
        (service.table("hotspots").insert(supabase.hotspot(severity="mild")), "23514"),
        (service.table("hotspots").insert({"nothing": 1}), "PGRST204"),
        (service.table("no_such_table").select("*"), "PGRST205"),
        (service.rpc("no_such_function"), "PGRST202"),
        (service.table("hotspots").select("*").eq("entity", supabase.entity).single(), "PGRST116"),
        (user.rpc("decide_recommendation", {"id": -1, "decision": "approved"}), "PT404"),
    ]
    for request, code in refused:
        with pytest.raises(APIError) as error:
            await request.execute()
        assert error.value.code == code, error.value


async def test_a_user_decides_by_a_function_and_sees_the_result(
    supabase: Supabase, service: Any, user: Any
) -> None:
    hotspot = await inserted(service, supabase)
    advice = {"hotspot_id": hotspot["id"], "action": "Charge at night", "co2_reduction": 2.5}
    (pending,) = (await service.table("recommendations").insert(advice).execute()).data
    call = {"id": pending["id"], "decision": "approved", "notes": "yes"}
    decided = (await user.rpc("decide_recommendation", call).execute()).data
    assert (decided["id"], decided["status"]) == (pending["id"], "approved")
    seen = user.table("recommendations").select("status").eq("id", pending["id"]).single()
    assert (await seen.execute()).data == {"status": "approved"}


async def test_a_member_signs_in_refreshes_changes_and_signs_out(
    supabase: Supabase, member: Member
) -> None:
    async with client(supabase, supabase.publishable) as browser:
        await member.sign_in(browser)
        first = await browser.auth.get_session()
        whoami = await browser.auth.get_user()
        assert whoami is not None
        assert (whoami.user.id, whoami.user.email) == (member.id, member.email)
        refreshed = await browser.auth.refresh_session()
        assert first is not None
        assert refreshed.session is not None
        assert refreshed.session.refresh_token != first.refresh_token
        changed = await browser.auth.update_user({"data": {"name": "Ada"}})
        assert changed.user.user_metadata["name"] == "Ada"
        assert (await browser.table("hotspots").select("id").limit(1).execute()).data is not None
        await browser.auth.sign_out()
        assert await browser.auth.get_session() is None
        with pytest.raises(APIError):
            await browser.table("hotspots").select("id").limit(1).execute()


async def test_a_wrong_password_is_refused(supabase: Supabase, member: Member) -> None:
    async with client(supabase, supabase.publishable) as browser:
        with pytest.raises(AuthApiError) as refused:
            await browser.auth.sign_in_with_password(
                {"email": member.email, "password": f"not {member.password}"}
            )
    assert (refused.value.code, refused.value.status) == ("invalid_credentials", 400)


async def test_changes_of_filtered_rows_arrive_in_order(
    supabase: Supabase, service: Any, user: Any
) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        seen = await follow(user, f"entity=eq.{supabase.entity}")
        await inserted(service, supabase, entity=f"{supabase.entity}_other")
        row = await inserted(service, supabase)
        changing = service.table("hotspots").update({"severity": "info"}).eq("id", row["id"])
        await changing.execute()
        changes = [(await seen.get())["data"] for _ in range(2)]
    await service.table("hotspots").delete().eq("entity", f"{supabase.entity}_other").execute()
    assert [change["type"] for change in changes] == ["INSERT", "UPDATE"]
    assert [change["record"]["severity"] for change in changes] == ["critical", "info"]
    assert changes[1]["old_record"] == {"id": row["id"]}


async def test_clients_of_a_topic_hear_each_other(supabase: Supabase, anon: Any, user: Any) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue(10)
    topic = f"room {supabase.entity}"
    async with asyncio.timeout(DEADLINE_SECONDS):
        listening = anon.channel(topic)
        await listening.on_broadcast("greeting", heard.put_nowait).subscribe()
        speaking = user.channel(topic)
        await speaking.subscribe()
        await speaking.send_broadcast("greeting", {"text": "héllo", "n": [1, None]})
        message = await heard.get()
    assert message["payload"] == {"text": "héllo", "n": [1, None]}
    assert message["event"] == "greeting"
