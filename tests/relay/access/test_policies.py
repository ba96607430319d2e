"""Which roles are served: what relay_access() tells of a real database, judged."""

from typing import Any, LiteralString

import psycopg
import pytest

from emulator.database import Database
from relay.access.policies import Access, NotServed, Scoping, scope_of, served
from relay.stream.change import ALERTS, HOTSPOTS, RECOMMENDATIONS

TENANT = Scoping(column="tenant_id", claim="tenants")


def access_of(database: Database, *changes: LiteralString) -> Access:
    with psycopg.connect(database.dsn("postgres"), autocommit=True) as connection:
        for change in changes:
            connection.execute(change)
        connection.execute("set role service_role")
        found = connection.execute("select public.relay_access()").fetchone()
    assert found is not None
    answer: dict[str, Any] = found[0]
    return answer


def refused(access: Access, role: str, scoping: Scoping | None = None, **metadata: object) -> str:
    with pytest.raises(NotServed) as refusal:
        scope_of(access, role, HOTSPOTS, scoping, metadata)
    return str(refusal.value)


def test_signed_in_users_get_the_whole_tables_and_strangers_nothing(
    each_database: Database,
) -> None:
    access = access_of(each_database)
    for endpoint in (HOTSPOTS, ALERTS, RECOMMENDATIONS):
        for role in ("authenticated", "service_role", "relay_reader"):
            assert scope_of(access, role, endpoint, None, {}) is None
    assert "may not select the whole table" in refused(access, "anon")
    assert "may not select the whole table" in refused(access, "event_writer")
    assert set(served(access, None)) == {"anon", "event_writer"}


@pytest.mark.parametrize("role", ["postgres", "supabase_admin", "nobody", ""])
def test_a_role_that_no_token_may_name_is_refused(database: Database, role: str) -> None:
    assert "no token may name" in refused(access_of(database), role)


PLANTED: dict[str, tuple[LiteralString, ...]] = {
    "per user, instead": (
        'drop policy "Signed-in users read hotspots" on public.hotspots',
        (
            "create policy own on public.hotspots for select to authenticated"
            " using (entity = (select auth.uid())::text)"
        ),
    ),
    "per user, beside": (
        (
            "create policy own on public.hotspots for select to authenticated"
            " using (entity = (select auth.uid())::text)"
        ),
    ),
    "per user, for everybody": (
        "create policy own on public.hotspots using (entity = (select auth.uid())::text)",
    ),
    "restrictive": (
        (
            "create policy narrow on public.hotspots as restrictive for select to authenticated"
            " using (status = 'active')"
        ),
    ),
    "restrictive, though true": (
        "create policy narrow on public.hotspots as restrictive for select to public using (true)",
    ),
    "none left": ('drop policy "Signed-in users read hotspots" on public.hotspots',),
    "columns granted": (
        "revoke select on public.hotspots from authenticated",
        "grant select (id, entity) on public.hotspots to authenticated",
    ),
    "nothing granted": ("revoke select on public.hotspots from authenticated",),
    "the schema closed": ("revoke usage on schema public from authenticated, public",),
}


@pytest.mark.parametrize("changes", PLANTED.values(), ids=PLANTED)
def test_a_role_whose_holders_see_different_rows_is_refused(
    database: Database, changes: tuple[LiteralString, ...]
) -> None:
    access = access_of(database, *changes)
    assert refused(access, "authenticated")
    assert "authenticated" in served(access, None)


def test_another_table_does_not_matter(database: Database) -> None:
    access = access_of(database, "revoke select on public.alerts from authenticated")
    assert scope_of(access, "authenticated", HOTSPOTS, None, {}) is None
    with pytest.raises(NotServed):
        scope_of(access, "authenticated", ALERTS, None, {})


def test_without_row_level_security_the_grant_decides(database: Database) -> None:
    access = access_of(
        database,
        'drop policy "Signed-in users read hotspots" on public.hotspots',
        "alter table public.hotspots disable row level security",
    )
    assert scope_of(access, "authenticated", HOTSPOTS, None, {}) is None
    assert refused(access, "anon")


def test_a_policy_through_a_role_that_is_inherited_counts(database: Database) -> None:
    access = access_of(
        database,
        "create role viewers nologin",
        "create role guest nologin in role viewers",
        "grant guest to authenticator",
        "grant usage on schema public to viewers",
        "grant select on public.hotspots to viewers",
        "create policy viewers on public.hotspots for select to viewers using (true)",
    )
    assert scope_of(access, "guest", HOTSPOTS, None, {}) is None


SCOPED: tuple[LiteralString, ...] = (
    "alter table public.hotspots add column tenant_id text",
    'drop policy "Signed-in users read hotspots" on public.hotspots',
    (
        "create policy tenants on public.hotspots for select to authenticated using"
        " (tenant_id = ((select auth.jwt()) -> 'app_metadata' ->> 'tenants'))"
    ),
)


@pytest.mark.parametrize(
    ("claimed", "scopes"),
    [
        ("north", {"north"}),
        (["north", "south"], {"north", "south"}),
        (7, {"7"}),
        ([7, "x"], {"7", "x"}),
    ],
)
def test_a_scope_column_says_who_gets_what(
    database: Database, claimed: object, scopes: set[str]
) -> None:
    access = access_of(database, *SCOPED)
    found = scope_of(access, "authenticated", HOTSPOTS, TENANT, {"tenants": claimed})
    assert found == frozenset(scopes)
    assert scope_of(access, "service_role", HOTSPOTS, TENANT, {}) is None


@pytest.mark.parametrize("claimed", [None, "", [], {}, True, [None], {"north": 1}, 1.5])
def test_a_token_without_a_scope_is_refused(database: Database, claimed: object) -> None:
    access = access_of(database, *SCOPED)
    assert "names no scope" in refused(access, "authenticated", TENANT, tenants=claimed)


def test_a_table_without_the_scope_column_is_refused(database: Database) -> None:
    access = access_of(database)
    assert "no column tenant_id" in refused(access, "authenticated", TENANT, tenants="north")


def test_a_scope_is_no_substitute_for_a_policy_or_a_grant(database: Database) -> None:
    access = access_of(database, *SCOPED, "drop policy tenants on public.hotspots")
    assert "no policy" in refused(access, "authenticated", TENANT, tenants="north")
    access = access_of(database, "revoke select on public.hotspots from authenticated")
    assert "may not select" in refused(access, "authenticated", TENANT, tenants="north")
