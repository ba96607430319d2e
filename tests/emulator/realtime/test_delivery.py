"""Who gets which change, over real sockets and a real database."""

from __future__ import annotations

import pytest

from tests.emulator.realtime.conftest import OTHER_USER, USER, Client, Server

HOTSPOTS = {"event": "*", "schema": "public", "table": "hotspots"}
ALERTS = {"event": "*", "schema": "public", "table": "alerts"}
OWN = {"event": "*", "schema": "public", "table": "recommendations"}
TYPES = {"event": "*", "schema": "public", "table": "types"}


async def names(client: Client, count: int) -> list[str]:
    return [(await client.change())["record"]["name"] for _ in range(count)]


async def test_a_role_without_policy_sees_nothing_but_deletions(server: Server) -> None:
    anon, signed_in = await server.client(), await server.client(server.user())
    await anon.join("t", ALERTS)
    await signed_in.join("t", ALERTS)
    await server.sql("insert into alerts (id, message) values (1, 'secret')")
    assert (await signed_in.change())["record"]["message"] == "secret"
    await server.sql("delete from alerts where id = 1")
    assert (await anon.change())["old_record"] == {"id": 1}


async def test_a_policy_on_the_user_is_asked_for_each_subscriber(server: Server) -> None:
    mine, other = await server.client(server.user()), await server.client(server.user(OTHER_USER))
    admin = await server.client(server.keys.secret)
    for client in (mine, other, admin):
        await client.join("t", OWN)
    await server.sql(
        "insert into recommendations (user_id, title) values (%s, 'a'), (%s, 'b')", USER, OTHER_USER
    )
    assert (await mine.change())["record"]["title"] == "a"
    assert (await other.change())["record"]["title"] == "b"
    assert [(await admin.change())["record"]["title"] for _ in "ab"] == ["a", "b"]
    await server.nothing_for(mine)


async def test_an_update_that_hides_a_row_is_silent_and_one_that_reveals_it_is_an_update(
    server: Server,
) -> None:
    await server.sql("insert into recommendations (user_id, title) values (%s, 'x')", OTHER_USER)
    client = await server.client(server.user())
    await client.join("t", OWN)
    await server.sql("update recommendations set user_id = %s", USER)
    assert (await client.change())["type"] == "UPDATE"
    await server.sql("update recommendations set user_id = %s", OTHER_USER)
    await server.nothing_for(client)


async def test_a_key_in_the_join_counts_instead_of_that_of_the_connection(server: Server) -> None:
    client = await server.client()
    await client.join("t", ALERTS, access_token=server.user())
    await server.sql("insert into alerts (message) values ('x')")
    assert (await client.change())["record"]["message"] == "x"


async def test_a_new_token_counts_after_another_system_message(server: Server) -> None:
    client = await server.client()
    await client.join("t", ALERTS)
    await client.send("realtime:t", "access_token", {"access_token": server.user()})
    system = await client.receive()
    assert system["payload"]["message"] == "Subscribed to PostgreSQL"
    await server.sql("insert into alerts (message) values ('x')")
    assert (await client.change())["record"]["message"] == "x"


async def test_a_row_that_is_gone_when_it_is_polled_is_announced_by_its_deletion_only(
    server: Server,
) -> None:
    client = await server.client()
    await client.join("t", HOTSPOTS)
    await server.sql("begin; insert into hotspots (id) values (1); delete from hotspots; commit")
    assert (await client.change())["type"] == "DELETE"


async def test_the_changes_of_a_transaction_keep_their_order(server: Server) -> None:
    """As in the recording: rolled back rows and rows that are gone do not come."""
    client = await server.client()
    await client.join("t", HOTSPOTS, TYPES)
    await server.sql(
        "begin; insert into hotspots (id, name) values (1, 'm1'), (2, 'm2');"
        " insert into types (id) values (1); update hotspots set name = 'm1b' where id = 1;"
        " delete from hotspots where id = 2; savepoint s;"
        " insert into hotspots (id) values (3); rollback to savepoint s;"
        " insert into hotspots (id, name) values (4, 'm4'); commit"
    )
    changes = [await client.change() for _ in range(5)]
    assert [(change["type"], change["table"]) for change in changes] == [
        ("INSERT", "hotspots"),
        ("INSERT", "types"),
        ("UPDATE", "hotspots"),
        ("DELETE", "hotspots"),
        ("INSERT", "hotspots"),
    ]
    assert len({change["commit_timestamp"] for change in changes}) == 1
    await server.nothing_for(client)


async def test_a_thousand_rows_of_one_statement_arrive_in_order(server: Server) -> None:
    client = await server.client(server.keys.secret)
    await client.join("t", HOTSPOTS)
    await server.sql("insert into hotspots (id, name) select n, n from generate_series(1, 1000) n")
    assert [(await client.change())["record"]["id"] for _ in range(1000)] == [*range(1, 1001)]


async def test_full_identity_gives_the_old_row_of_an_update(server: Server) -> None:
    await server.sql("alter table hotspots replica identity full")
    await server.sql("insert into hotspots (id, name, lat) values (5000, 'full', 9)")
    client = await server.client()
    await client.join("t", HOTSPOTS)
    await server.sql("update hotspots set name = 'upd2', lat = null where id = 5000")
    change = await client.change()
    old, new = change["old_record"], change["record"]
    assert (old["name"], old["lat"], new["name"], new["lat"]) == ("full", 9, "upd2", None)


@pytest.mark.parametrize("identity", ["default", "full"])
async def test_an_unchanged_large_value_is_only_there_under_full_identity(
    server: Server, identity: str
) -> None:
    await server.sql(f"alter table types replica identity {identity}")
    await server.sql("alter table types alter nu set storage external")
    await server.sql("insert into types (id, nu) values (3, repeat('x', 9000))")
    client = await server.client()
    await client.join("t", TYPES)
    await server.sql("update types set en = 'e' where id = 3")
    change = await client.change()
    assert change["errors"] is None
    assert ("nu" in change["record"]) == (identity == "full")


async def test_a_record_over_a_mebibyte_keeps_its_short_values(server: Server) -> None:
    client = await server.client()
    await client.join("t", HOTSPOTS)
    await server.sql("insert into hotspots (id, lat, name) values (1, 2, repeat('x', 1500000))")
    change = await client.change()
    assert change["errors"] == ["Error 413: Payload Too Large"]
    assert change["record"].keys() == {"id", "lat", "created_at"}


async def test_revoked_columns_are_left_out_and_a_revoked_key_is_an_error(server: Server) -> None:
    client = await server.client(server.user())
    await client.join("t", ALERTS)
    await server.sql("revoke select on alerts from authenticated")
    await server.sql("insert into alerts (id) values (1)")
    refused = await client.change()
    await server.sql("grant select (id, message) on alerts to authenticated")
    await server.sql("insert into alerts (id, message) values (2, 'x')")
    partial = await client.change()
    assert refused == {
        "table": "alerts",
        "type": "INSERT",
        "record": {},
        "columns": [],
        "errors": ["Error 401: Unauthorized"],
        "schema": "public",
        "commit_timestamp": None,
    }
    assert partial["record"] == {"id": 2, "message": "x"}
    assert [column["name"] for column in partial["columns"]] == ["id", "message"]


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ("name=eq.eq1", ["eq1"]),
        ("name=neq.eq1", ["eq2", 'é,"x']),
        ("name=not.eq.eq1", ["eq2", 'é,"x']),
        ("lat=gt.15", ["eq2", 'é,"x']),
        ("lat=gte.20", ["eq2", 'é,"x']),
        ("lat=lt.20", ["eq1"]),
        ("lat=lte.20", ["eq1", "eq2"]),
        ("lat=gt.5,lat=lt.15", ["eq1"]),
        ("name=in.(eq1,eq2)", ["eq1", "eq2"]),
        ('name=in.("é,\\"x",eq2)', ["eq2", 'é,"x']),
        ('name=eq."é,\\"x"', ['é,"x']),
        ("lon=is.null", ["eq1", "eq2", 'é,"x']),
        ("lon=not.is.null", []),
        ("lon=eq.1", []),
        ("lon=not.eq.1", []),
        ("name=like.eq%", ["eq1", "eq2"]),
        ("name=match.^eq[2-9]", ["eq2"]),
        ("lon=isdistinct.1", ["eq1", "eq2", 'é,"x']),
    ],
)
async def test_only_rows_that_pass_the_filter_arrive(
    server: Server, filter_: str, expected: list[str]
) -> None:
    client = await server.client(server.keys.secret)
    await client.join("t", {**HOTSPOTS, "filter": filter_})
    await server.sql(
        "insert into hotspots (name, lat) values ('eq1', 10), ('eq2', 20), ('é,\"x', 30)"
    )
    assert await names(client, len(expected)) == expected
    await server.nothing_for(client)


async def test_a_deletion_passes_a_filter_on_its_key_only(server: Server) -> None:
    by_key, by_name = await server.client(), await server.client()
    await by_key.join("t", {**HOTSPOTS, "event": "DELETE", "filter": "id=gt.0"})
    await by_name.join("t", {**HOTSPOTS, "event": "DELETE", "filter": "name=eq.a"})
    await server.sql("insert into hotspots (id, name) values (1, 'a')")
    await server.sql("delete from hotspots")
    assert (await by_key.change())["old_record"] == {"id": 1}
    await server.nothing_for(by_name)


@pytest.mark.parametrize(
    ("event", "expected"),
    [("INSERT", ["INSERT"]), ("insert", ["INSERT"]), ("INSRT", ["INSERT", "DELETE"])],
)
async def test_an_unknown_event_stands_for_all(
    server: Server, event: str, expected: list[str]
) -> None:
    client = await server.client()
    await client.join("t", {**HOTSPOTS, "event": event})
    await server.sql("insert into hotspots (id) values (1)")
    await server.settled()
    await server.sql("delete from hotspots")
    assert [(await client.change())["type"] for _ in expected] == expected
    await server.nothing_for(client)


@pytest.mark.parametrize("binding", [{"schema": "public"}, {"schema": "*", "table": "*"}])
async def test_a_wildcard_brings_every_published_table(
    server: Server, binding: dict[str, str]
) -> None:
    client = await server.client()
    await client.join("t", {"event": "*", **binding})
    await server.sql("insert into notpub (v) values ('no')")
    await server.sql("insert into hotspots (name) values ('a')")
    await server.sql("insert into types (en) values ('b')")
    assert [(await client.change())["table"] for _ in range(2)] == ["hotspots", "types"]


async def test_bindings_that_match_one_change_share_one_message(server: Server) -> None:
    client = await server.client(server.keys.secret)
    reply = await client.join(
        "t",
        {**HOTSPOTS, "filter": "lat=gt.5"},
        {**HOTSPOTS, "filter": "lat=lt.25"},
        {**HOTSPOTS, "event": "INSERT"},
    )
    first, second, third = (b["id"] for b in reply["payload"]["response"]["postgres_changes"])
    await server.sql("insert into hotspots (lat) values (20), (30)")
    frames = [(await client.receive())["payload"]["ids"] for _ in range(2)]
    assert frames == [[third, second, first], [third, first]]
    assert min(first, second, third) > 0


async def test_selected_columns_come_with_the_key(server: Server) -> None:
    client = await server.client()
    await client.join("t", {**HOTSPOTS, "select": ["name"]})
    await server.sql("insert into hotspots (id, name) values (6, 'eq2')")
    change = await client.change()
    assert change["record"] == {"id": 6, "name": "eq2"}
    assert [column["name"] for column in change["columns"]] == ["id", "name"]


async def test_one_client_whose_policy_raises_costs_everybody_the_poll(server: Server) -> None:
    """The real server has this fault, and what lives on it has to survive it."""
    poison = await server.client(server.user("not-a-uuid"))
    client = await server.client(server.keys.secret)
    await client.join("t", OWN)
    await poison.join("t", OWN)
    await server.sql("insert into recommendations (title) values ('lost')")
    await server.nothing_for(client)
    await poison.connection.close()
    await server.sql("insert into recommendations (title) values ('seen')")
    changes = [(await client.change())["record"]["title"]]
    assert changes == ["seen"]


async def test_a_column_renamed_between_commit_and_poll_costs_the_poll(own_server: Server) -> None:
    server = own_server
    client = await server.client(server.keys.secret)
    await client.join("t", ALERTS)
    await server.sql(
        "begin; insert into alerts (message) values ('lost');"
        " alter table alerts rename column level to severity; commit"
    )
    await server.nothing_for(client)
    await server.sql("insert into alerts (message) values ('seen')")
    assert (await client.change())["record"]["message"] == "seen"


async def test_a_row_is_never_missed_because_its_commit_is_not_visible_yet(server: Server) -> None:
    """The stream has a commit before other sessions see it; policies are asked only after."""
    client = await server.client()
    await client.join("t", HOTSPOTS)
    for number in range(100):
        await server.sql("insert into hotspots (id) values (%s)", number)
        assert (await client.change())["record"]["id"] == number
