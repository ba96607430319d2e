"""The emulated project's database: what is in it before and after the migrations."""

from __future__ import annotations

import psycopg

from emulator.database import Database


def test_each_database_holds_the_schema(each_database: Database) -> None:
    with psycopg.connect(each_database.dsn()) as connection:
        row = connection.execute("select to_regclass('public.hotspots')::text").fetchone()
    assert row == ("hotspots",)
