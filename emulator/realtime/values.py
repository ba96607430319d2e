"""JSON of a PostgreSQL value from its text, for the types where that needs no database."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from json.encoder import encode_basestring

BOOL, BYTEA, CHAR, NAME, INT8, INT2, INT4, TEXT, OID = 16, 17, 18, 19, 20, 21, 23, 25, 26
FLOAT4, FLOAT8, NUMERIC = 700, 701, 1700
BPCHAR, VARCHAR, DATE, TIME, TIMESTAMP, TIMESTAMPTZ, INTERVAL = (
    1042,
    1043,
    1082,
    1083,
    1114,
    1184,
    1186,
)
UUID, JSONB, XID8 = 2950, 3802, 5069

# What the session must be set to for the texts to be as the functions below expect them.
SESSION = {
    "bytea_output": "hex",
    "datestyle": "ISO",
    "extra_float_digits": "1",
    "intervalstyle": "postgres",
    "timezone": "UTC",
}


def quoted(text: str) -> str:
    """`text` as a JSON string, escaped as jsonb does."""
    return encode_basestring(text)


def known(type_oid: int, text: str) -> str | None:
    """JSON of the value, equal to PostgreSQL's to_jsonb; None when only the database can tell.

    NaN and the infinities are null and bytea is hex without prefix, as the real server has them.
    """
    render = _RENDERERS.get(type_oid)
    return None if render is None else render(text)


def sort_key(name: str) -> tuple[int, bytes]:
    """Order of the keys in a jsonb object: shorter names first, then by bytes."""
    encoded = name.encode()
    return len(encoded), encoded


def _same(text: str) -> str:
    return text


def _number(text: str) -> str:
    if text in ("NaN", "Infinity", "-Infinity"):
        return "null"
    if "e" in text:
        return format(Decimal(text), "f")
    return "0" if text == "-0" else text


def _bool(text: str) -> str:
    return "true" if text == "t" else "false"


def _bytea(text: str) -> str | None:
    return f'"{text[2:]}"' if text.startswith("\\x") else None


_PLAIN_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?(\+00)?", re.ASCII)


def _timestamp(text: str) -> str | None:
    """Only years of four digits: others, and dates before Christ, are left to the database."""
    return f'"{text.replace(" ", "T")}"' if _PLAIN_TIME.fullmatch(text) else None


def _timestamptz(text: str) -> str | None:
    found = _PLAIN_TIME.fullmatch(text)
    return f'"{text.replace(" ", "T")}:00"' if found and found[1] else None


_RENDERERS: dict[int, Callable[[str], str | None]] = {
    **dict.fromkeys((INT2, INT4, INT8, JSONB), _same),
    **dict.fromkeys((FLOAT4, FLOAT8, NUMERIC), _number),
    **dict.fromkeys((TEXT, VARCHAR, BPCHAR, NAME, CHAR, UUID, OID, XID8), quoted),
    **dict.fromkeys((DATE, TIME, INTERVAL), quoted),
    BOOL: _bool,
    BYTEA: _bytea,
    TIMESTAMP: _timestamp,
    TIMESTAMPTZ: _timestamptz,
}
