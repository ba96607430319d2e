"""The relays' private topic: nobody but the database sends to it, whatever a project's policies."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

import emulator.database
from emulator import cluster, migrations
from tests.supabase import servers
from tests.supabase.servers import Database, one

TOPIC = "relay:changes"
OTHER = "room:7"

# The policies that Supabase's guides show for private channels, in the guides' order.
EXAMPLES: dict[str, tuple[LiteralString, ...]] = {
    "receive broadcasts": (
        "create policy example on realtime.messages for select to authenticated using (true)",
    ),
    "send and receive on any topic": (
        "create policy e1 on realtime.messages for select to authenticated using (true)",
        "create policy e2 on realtime.messages for insert to authenticated with check (true)",
    ),
    "members of a room": (
        "create table public.rooms_users (user_id uuid, topic text)",
        "grant select on public.rooms_users to authenticated",
        (
            "insert into public.rooms_users values"
            " ('8c6c3b2f-3f0c-4f6e-9f0e-0a4fb1bd2d11', 'relay:changes'),"
            " ('8c6c3b2f-3f0c-4f6e-9f0e-0a4fb1bd2d11', 'room:7')"
        ),
        (
            "create policy e1 on realtime.messages for select to authenticated using (exists ("
            "select 1 from public.rooms_users where user_id = (select auth.uid())"
            " and topic = (select realtime.topic())"
            " and realtime.messages.extension in ('broadcast')))"
        ),
        (
            "create policy e2 on realtime.messages for insert to authenticated with check (exists ("
            "select 1 from public.rooms_users where user_id = (select auth.uid())"
            " and topic = (select realtime.topic())"
            " and realtime.messages.extension in ('broadcast')))"
        ),
    ),
    "presence and broadcast": (
        (
            "create policy e1 on realtime.messages for select to authenticated"
            " using (realtime.messages.extension in ('broadcast', 'presence'))"
        ),
        (
            "create policy e2 on realtime.messages for insert to authenticated"
            " with check (realtime.messages.extension in ('broadcast', 'presence'))"
        ),
    ),
    "everybody, signed in or not": (
        "create policy example on realtime.messages for all to public using (true)",
    ),
    "anonymous visitors": (
        "create policy e1 on realtime.messages for select to anon using (true)",
        "create policy e2 on realtime.messages for insert to anon with check (true)",
    ),
    "by the topic": (
        (
            "create policy e1 on realtime.messages for select to authenticated"
            " using ((select realtime.topic()) like '%:%')"
        ),
        (
            "create policy e2 on realtime.messages for insert to authenticated"
            " with check ((select realtime.topic()) like '%:%')"
        ),
    ),
}
CLAIMS = {"sub": "8c6c3b2f-3f0c-4f6e-9f0e-0a4fb1bd2d11", "role": "authenticated"}


@pytest.fixture
def project(migrated: emulator.database.Database) -> Iterator[Database]:
    """The migrated schema, whose policies a test may change."""
    with servers.opened(migrated.clone(servers.fresh_name())) as database:
        yield database


def plant(database: Database, statements: tuple[LiteralString, ...]) -> None:
    admin = database.connect(user="supabase_admin")
    for statement in statements:
        admin.execute(statement)


def may_send(database: Database, role: str, topic: str) -> bool:
    """Whether Realtime would let a holder of the role send: it asks by inserting, as the caller."""
    caller = database.connect(role, CLAIMS, user="supabase_admin")
    caller.execute("select set_config('realtime.topic', %s, false)", (topic,))
    try:
        with caller.transaction(force_rollback=True):
            caller.execute(
                "insert into realtime.messages (topic, extension) values (%s, 'broadcast')",
                (topic,),
            )
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def may_listen(database: Database, role: str, topic: str) -> bool:
    """Whether Realtime would let a holder of the role join: it asks whether a probe is seen."""
    admin = database.connect(user="supabase_admin")
    with admin.transaction(force_rollback=True):
        admin.execute(
            "insert into realtime.messages (topic, extension) values (%s, 'broadcast')", (topic,)
        )
        admin.execute(
            "select set_config('realtime.topic', %s, true), set_config('role', %s, true),"
            " set_config('request.jwt.claims', %s, true)",
            (topic, role, f'{{"sub": "{CLAIMS["sub"]}", "role": "{role}"}}'),
        )
        try:
            return bool(one(admin, "select count(*) > 0 from realtime.messages"))
        except psycopg.errors.InsufficientPrivilege:
            return False


@pytest.mark.parametrize("example", EXAMPLES)
def test_no_published_example_policy_lets_a_user_forge_a_change(
    project: Database, example: str
) -> None:
    plant(project, EXAMPLES[example])
    for role in ("anon", "authenticated", "relay_reader"):
        assert not may_send(project, role, TOPIC)


@pytest.mark.parametrize("example", EXAMPLES)
def test_no_published_example_policy_lets_a_user_listen_to_the_relays(
    project: Database, example: str
) -> None:
    plant(project, EXAMPLES[example])
    for role in ("anon", "authenticated"):
        assert not may_listen(project, role, TOPIC)
    assert may_listen(project, "relay_reader", TOPIC)
    assert may_listen(project, "service_role", TOPIC)


def test_a_projects_own_topics_work_as_before(project: Database) -> None:
    plant(project, EXAMPLES["send and receive on any topic"])
    assert may_send(project, "authenticated", OTHER)
    assert may_listen(project, "authenticated", OTHER)
    assert not may_send(project, "anon", OTHER)


def test_a_direct_insert_outside_of_a_join_is_judged_by_its_topic_alone(project: Database) -> None:
    plant(project, EXAMPLES["send and receive on any topic"])
    user = project.connect("authenticated", CLAIMS, user="supabase_admin")
    insert = "insert into realtime.messages (topic, extension) values (%s, 'broadcast')"
    user.execute(insert, (OTHER,))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        user.execute(insert, (TOPIC,))


def told(database: Database) -> dict[str, Any]:
    answer: dict[str, Any] = one(
        database.connect("service_role"), "select public.relay_broadcast()"
    )
    return answer


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_closed_topic_is_reported_as_closed(project: Database, example: str) -> None:
    plant(project, EXAMPLES[example])
    assert (told(project)["sends"], told(project)["receives"]) == ([], [])


def test_who_may_forge_is_named_once_the_restrictive_policies_are_gone(project: Database) -> None:
    plant(project, EXAMPLES["send and receive on any topic"])
    plant(
        project,
        (
            'drop policy "Only the database sends changes" on realtime.messages',
            'drop policy "Only relays receive changes" on realtime.messages',
        ),
    )
    assert may_send(project, "authenticated", TOPIC)
    assert (told(project)["sends"], told(project)["receives"]) == (
        ["authenticated"],
        ["authenticated"],
    )


def test_a_policy_of_the_same_name_that_closes_nothing_does_not_count(project: Database) -> None:
    plant(project, EXAMPLES["send and receive on any topic"])
    plant(
        project,
        ('alter policy "Only the database sends changes" on realtime.messages with check (true)',),
    )
    assert told(project)["sends"] == ["authenticated"]


def test_a_role_of_the_projects_own_that_may_send_is_named(project: Database) -> None:
    name = servers.fresh_name()
    admin = project.connect(user="supabase_admin")
    admin.execute(f'create role "{name}" nologin')
    try:
        admin.execute(f'grant "{name}" to authenticator')
        admin.execute(f'grant insert on realtime.messages to "{name}"')
        admin.execute(
            "create policy own on realtime.messages for insert to public with check (true)"
        )
        assert told(project)["sends"] == [name]
    finally:
        admin.execute(f'drop owned by "{name}"')
        admin.execute(f'drop role "{name}"')


def inherited(database: Database) -> list[str]:
    """What relay_reader is told that it may do because it is a member of anon."""
    rights: list[str] = one(
        database.connect("relay_reader", user="authenticator"), "select public.relay_broadcast()"
    )["inherited"]
    return rights


def test_what_the_relays_role_gets_as_a_member_of_anon_is_named(project: Database) -> None:
    plant(
        project,
        (
            "create table public.todos (id int)",
            "grant select, insert on public.todos to anon",
            "create table public.guarded (id int)",
            "alter table public.guarded enable row level security",
            "grant select, delete on public.guarded to anon",
            "create table public.closed (id int)",
            "alter table public.closed enable row level security",
            "grant select on public.closed to anon",
            "create policy rule on public.guarded for delete to public using (id > 3)",
        ),
    )
    expected = ["delete on public.guarded", "insert, select on public.todos"]
    member = one(project.connect(), "select pg_has_role('relay_reader', 'anon', 'usage')")
    assert inherited(project) == (expected if member else [])
    with project.connect(user="supabase_admin") as admin, admin.transaction(force_rollback=True):
        admin.execute("grant anon to relay_reader")
        admin.execute("select set_config('role', 'relay_reader', true)")
        assert one(admin, "select public.relay_broadcast()")["inherited"] == expected


def test_who_does_not_own_realtime_migrates_and_is_told_that_the_topic_is_open(
    migrated: emulator.database.Database, tmp_path: Path
) -> None:
    directory = tmp_path / "migrations"
    shutil.copytree(servers.PROJECT / "migrations", directory)
    made = emulator.database.Database(migrated.server, "").create(servers.fresh_name())
    with servers.opened(made) as database:
        migrations.bootstrap(database.dsn(cluster.SUPERUSER))
        plant(database, ("alter table realtime.messages owner to supabase_admin",))
        migrations.migrate(database.dsn(), directory)
        plant(database, EXAMPLES["send and receive on any topic"])
        assert told(database)["sends"] == ["authenticated"]
        assert told(database)["policy"] is False


def test_on_realtimes_table_the_migration_creates_policies_and_does_nothing_else() -> None:
    text = (servers.PROJECT / "migrations" / "20261129120000_closed_topic.sql").read_text()
    statements = [line.strip() for line in text.lower().splitlines() if "on realtime." in line]
    assert len(statements) == 2
    assert all(statement.startswith("create policy") for statement in statements)
