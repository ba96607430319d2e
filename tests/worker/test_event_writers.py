"""What somebody who may insert events and nothing else can do to the worker: nothing."""

from __future__ import annotations

from typing import Any

import httpx
import psycopg
import pytest

from emulator.running import Emulator
from tests.worker.conftest import Run, Table

EVENT = {"event_type": "factory", "supplier_id": "Mill", "timestamp": "2025-03-03T09:00:00Z"}
MEGABYTE = 1_000_000


def posted(emulator: Emulator, **columns: Any) -> httpx.Response:
    """The answer to an event that such a person sends over REST."""
    token = emulator.keys.mint("event_writer", subject="sensor")
    return httpx.post(
        f"{emulator.url}/rest/v1/events_normalized",
        json=EVENT | columns,
        headers={"apikey": emulator.keys.publishable, "Authorization": f"Bearer {token}"},
        timeout=60,
    )


def test_an_ordinary_event_is_taken(emulator: Emulator, tables: Table) -> None:
    answer = posted(emulator, energy_kwh=4000, country="DE", output_quantity=12, output_unit="t")
    assert answer.status_code == 201, answer.text
    assert tables.rows("select country from events_normalized") == [{"country": "DE"}]


@pytest.mark.parametrize("column", ["created_at", "id"])
def test_when_an_event_arrived_is_not_for_its_writer_to_say(
    emulator: Emulator, tables: Table, column: str
) -> None:
    value = "2020-01-01T00:00:00Z" if column == "created_at" else 7
    answer = posted(emulator, **{column: value})
    assert answer.status_code in (400, 403)
    assert answer.json()["code"] in ("42501", "428C9")
    assert tables.rows("select from events_normalized") == []


@pytest.mark.parametrize("column", ["route_id", "source_key", "co2e_method", "output_unit"])
def test_a_text_of_megabytes_is_refused(emulator: Emulator, tables: Table, column: str) -> None:
    answer = posted(emulator, **{column: "x" * (3 * MEGABYTE)})
    assert (answer.status_code, answer.json()["code"]) == (400, "23514")
    assert f"{column}_length" in answer.json()["message"]
    assert tables.rows("select from events_normalized") == []


def test_huge_events_of_before_hold_up_nobody(run: Run, tables: Table) -> None:
    """Written before texts were bounded: 60 of 30 MB, and one of 200 MB, at the head."""
    with psycopg.connect(tables.dsn, autocommit=True) as owner:
        owner.execute("alter table events_normalized drop constraint route_id_length")
        owner.execute("create temporary table huge (name text)")
        # Compressed once for each size: a value that is copied stays as it is stored.
        for megabytes, count in ((30, 60), (200, 1)):
            owner.execute("truncate huge")
            owner.execute("insert into huge select repeat('x', %s)", (megabytes * MEGABYTE,))
            owner.execute(
                "insert into events_normalized (event_type, supplier_id, timestamp, energy_kwh,"
                " route_id) select 'factory', 'Mill', now(), 4000, name"
                " from huge, generate_series(1, %s)",
                (count,),
            )
        owner.execute(
            "alter table events_normalized"
            " add constraint route_id_length check (length(route_id) <= 200) not valid"
        )
    tables.insert([EVENT])
    tables.execute("update events_normalized set energy_kwh = 4000 where route_id is null")
    status, out, _ = run("scan")
    assert status == 0
    assert " done: events=1 quarantined=61 failed=0 predictions=1 " in out
    assert run("quarantine", "list", "--kind", "size")[1].endswith("61 held: size 61\n")
    status, _, err = run("quarantine", "release", "--all")
    assert status == 1
    assert "too large to be read" in err
