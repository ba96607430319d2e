"""The rights of every role on every table and function, as a caller of REST meets them.

`access` is the specification; what REST answers is compared with it, cell by cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from emulator.running import Emulator
from tests.supabase import access

SECONDS = 30.0
DENIED = "42501"
UNKNOWN = "PGRST202"  # not exposed: functions of triggers are not
NOT_A_TABLE = "55000"
METHODS = {"select": "GET", "insert": "POST", "update": "PATCH", "delete": "DELETE"}
COLUMNS = """
select table_name, min(column_name) as name from information_schema.columns
where table_schema = 'public' and is_identity = 'NO' and is_generated = 'NEVER'
group by table_name
"""
ARGUMENTS = """
select replace(replace(f.oid::regprocedure::text, 'public.', ''), ' ', '') as name,
  coalesce(f.proargnames[1:f.pronargs], '{}') as arguments
from pg_proc f where f.pronamespace = 'public'::regnamespace
"""


@pytest.fixture
def rest(emulator: Emulator) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=f"{emulator.url}/rest/v1",
        headers={"apikey": emulator.keys.publishable},
        trust_env=False,
        timeout=SECONDS,
    ) as client:
        yield client


def catalogue(emulator: Emulator, statement: str) -> list[dict[str, Any]]:
    with psycopg.connect(emulator.dsn("postgres"), row_factory=dict_row) as owner:
        return owner.execute(statement.encode()).fetchall()


def bearer(emulator: Emulator, role: str) -> dict[str, str]:
    """What a holder of the role sends; anon sends the publishable key alone."""
    if role == "anon":
        return {}
    return {"Authorization": f"Bearer {emulator.keys.mint(role, subject=str(role))}"}


def is_denied(answer: httpx.Response) -> bool:
    if answer.status_code < 400:
        return False
    problem: dict[str, str] = answer.json()
    refused = problem["code"] == DENIED and problem["message"].startswith("permission denied")
    # A view that joins tables is told to be no table before anybody's rights are looked at.
    return refused or problem["code"] in (UNKNOWN, NOT_A_TABLE)


def test_over_rest_each_role_may_do_with_each_table_what_the_design_says(
    emulator: Emulator, rest: httpx.Client
) -> None:
    columns = {row["table_name"]: row["name"] for row in catalogue(emulator, COLUMNS)}
    found: access.Matrix = {}
    for table in access.TABLES:
        column = columns[table]
        for role in access.ROLES:
            for right, method in METHODS.items():
                writes = method in ("POST", "PATCH")
                shown = {"select": column} if method == "GET" else {}
                answer = rest.request(
                    method,
                    f"/{table}",
                    params=shown if method == "POST" else {column: "is.null"} | shown,
                    json={column: None} if writes else None,
                    headers=bearer(emulator, role),
                )
                if not is_denied(answer):
                    found.setdefault(table, {}).setdefault(role, set()).add(right)
    assert found == {table: roles for table, roles in access.TABLES.items() if roles}


def test_over_rpc_each_role_may_call_the_functions_that_the_design_says(
    emulator: Emulator, rest: httpx.Client
) -> None:
    found: access.Matrix = {}
    functions = {row["name"]: row["arguments"] for row in catalogue(emulator, ARGUMENTS)}
    assert functions.keys() == access.FUNCTIONS.keys()
    for name, arguments in functions.items():
        for role in access.ROLES:
            answer = rest.post(
                f"/rpc/{name.partition('(')[0]}",
                json=dict.fromkeys(arguments),
                headers=bearer(emulator, role),
            )
            if not is_denied(answer):
                found.setdefault(name, {}).setdefault(role, set()).add("execute")
    assert found == {name: roles for name, roles in access.FUNCTIONS.items() if roles}
