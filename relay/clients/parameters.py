"""What a client asks for in the query string of an endpoint."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from relay.changes.endpoints import Endpoint
from relay.changes.filters import Filter
from relay.clients.cursor import MAX_BYTES as MAX_CURSOR_BYTES
from relay.errors import BadParameter

MOST_ROWS: Final = 1000
MAX_VALUES: Final = 50
MAX_FIELDS: Final = MAX_VALUES + 16
MAX_VALUE_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Parameters:
    """A valid query; `last` is None when the client did not say."""

    filter: Filter
    last: int | None = None
    cursor: str | None = None
    token: str | None = field(default=None, repr=False)


def parse(endpoint: Endpoint, query: str, *, resumable: bool) -> Parameters:
    """The parameters in `query`; only a `resumable` format has `cursor`. A `seq`, which clients
    brought before it was a part of the cursor, is ignored.

    Raises:
        BadParameter: a parameter is unknown, given twice though it is no filter, or has a bad
            value.
    """
    given = _grouped(query)
    given.pop("seq", None)
    cursor = _once(given, "cursor")
    if not resumable and cursor is not None:
        raise BadParameter("cursor needs the subprotocol relay.v1")
    if cursor is not None and len(cursor) > MAX_CURSOR_BYTES:
        raise BadParameter(f"cursor is longer than {MAX_CURSOR_BYTES} bytes")
    last, token = _once(given, "last"), _once(given, "token")
    return Parameters(
        filter=Filter.of(
            endpoint, {name: _values(endpoint, name, texts) for name, texts in given.items()}
        ),
        last=None if last is None else _number("last", last, MOST_ROWS),
        cursor=cursor or None,
        token=token or None,
    )


def _grouped(query: str) -> dict[str, list[str]]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise BadParameter("the query is not UTF-8 or has too many parameters") from None
    given: dict[str, list[str]] = {}
    for name, text in pairs:
        given.setdefault(name, []).append(text)
    return given


def _once(given: dict[str, list[str]], name: str) -> str | None:
    texts = given.pop(name, [])
    if len(texts) > 1:
        raise BadParameter(f"{name} is given twice")
    return texts[0] if texts else None


def _values(endpoint: Endpoint, name: str, texts: Sequence[str]) -> frozenset[str]:
    """Those of one parameter, between commas; of several ones, each as it is."""
    if name not in endpoint.filters:
        known = ", ".join(endpoint.filters)
        raise BadParameter(f"{endpoint.name} has no parameter {name[:40]!r}; filters: {known}")
    if any("\0" in text for text in texts):
        raise BadParameter(f"{name} has a character that no row can have")
    values = frozenset(texts if len(texts) > 1 else texts[0].split(","))
    if "" in values or len(values) > MAX_VALUES:
        raise BadParameter(f"{name} needs 1 to {MAX_VALUES} values separated by commas")
    possible = endpoint.filters[name].values
    if possible is not None and (unknown := sorted(values - possible)):
        one_of = ", ".join(sorted(possible))
        raise BadParameter(f"{name} cannot be {unknown[0][:40]!r}; it is one of: {one_of}")
    if any(len(each) > MAX_VALUE_CHARACTERS for each in values):
        raise BadParameter(f"{name}: a value is longer than {MAX_VALUE_CHARACTERS} characters")
    return values


def _number(name: str, value: str, most: int) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 20 and int(value) <= most):
        raise BadParameter(f"{name} has to be a number from 0 to {most}")
    return int(value)
