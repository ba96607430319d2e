"""JSON made from the text of a value is what PostgreSQL makes of the value."""

from __future__ import annotations

import psycopg
import pytest

from emulator.cluster import SUPERUSER
from emulator.postgres import Postgres
from emulator.realtime import values

SAMPLES = {
    "int2": ["0", "-32768"],
    "int4": ["2147483647"],
    "int8": ["9223372036854775807", "-1"],
    "numeric": ["12345678901234567890.123456789012345678", "1.10", "-0.5", "1e-7", "1e30"],
    "float8": ["1.1", "-0", "1e20", "1.5e300", "1e-5", "5e-324", "123456789012345678", "0.1"],
    "float4": ["1.1", "1e20", "16777216"],
    "bool": ["true", "false"],
    "text": ["", 'a"b\\c', "é😀", "tab\tnew\nline\x01\x1f\x7f", "\u2028"],
    "varchar": ["x"],
    "bpchar": ["x "],
    "name": ["n"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "xid8": ["18446744073709551615"],
    "oid": ["4294967295"],
    "date": ["2024-02-29", "infinity", "0044-03-15 BC", "20240-01-01"],
    "time": ["04:05:06.789"],
    "interval": ["1 year 2 mons 3 days 04:05:06.789", "-1 day"],
    "timestamp": ["2024-02-29 12:34:56.123456", "infinity", "0044-03-15 01:02:03 BC"],
    "timestamptz": ["2024-02-29 12:34:56.1+02", "-infinity", "20240-01-01 00:00:00+00"],
    "jsonb": ['{"b": 1.10, "a": [1, null]}', "null", '"x"'],
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_json_of_a_text_is_that_of_the_database(postgres: Postgres, kind: str) -> None:
    options = " ".join(f"-c {name}={value}" for name, value in values.SESSION.items())
    query = (
        f"select format('%%s', %s::{kind}), to_jsonb(%s::{kind})::text, %s::regtype::oid::bigint"
    )
    known = 0
    with psycopg.connect(postgres.dsn(SUPERUSER, "postgres"), options=options) as connection:
        for sample in SAMPLES[kind]:
            row = connection.execute(query.encode(), (sample, sample, kind)).fetchone()
            assert row is not None
            text, expected, type_oid = row
            json = values.known(type_oid, text)
            assert json in (expected, None), sample
            known += json is not None
    assert known


@pytest.mark.parametrize(
    ("type_oid", "text", "json"),
    [
        (values.FLOAT8, "NaN", "null"),
        (values.FLOAT4, "-Infinity", "null"),
        (values.NUMERIC, "NaN", "null"),
        (values.BYTEA, "\\xdeadbeef00ff", '"deadbeef00ff"'),
        (values.BYTEA, "\\x", '""'),
    ],
)
def test_where_the_real_server_differs_from_to_jsonb(type_oid: int, text: str, json: str) -> None:
    assert values.known(type_oid, text) == json


@pytest.mark.parametrize("type_oid", [114, 1009, 99999])
def test_json_arrays_and_unknown_types_are_left_to_the_database(type_oid: int) -> None:
    assert values.known(type_oid, "{}") is None


def test_keys_are_ordered_by_length_first() -> None:
    assert sorted(["name", "lat", "id", "é", "b"], key=values.sort_key) == [
        "b",
        "id",
        "é",
        "lat",
        "name",
    ]
