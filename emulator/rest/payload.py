"""The body of a request: its columns are parsed here, its values by the database."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from emulator.rest import errors


@dataclass(frozen=True)
class Payload:
    """A body as it goes to the database, and the columns or arguments that it names."""

    text: str
    names: tuple[str, ...] = ()

    @property
    def is_object(self) -> bool:
        return self.text.lstrip(" \t\r\n").startswith("{")


EMPTY = Payload("{}")


def parse(
    body: bytes, content_type: str, columns: tuple[str, ...] | None, *, for_function: bool
) -> Payload:
    """The body, checked as far as the database does not check it itself.

    Raises ApiError PGRST102 for a body that is no JSON, or whose objects differ in their keys
    while `columns` does not name them.
    """
    if for_function and content_type in {"text/plain", "text/xml"}:
        return Payload(_text(body))
    if content_type != "application/json":
        raise errors.invalid_body(f"Content-Type not acceptable: {content_type}")
    if for_function and not body:
        return EMPTY
    if columns is not None:
        return Payload(_text(body), columns)
    return _named(_text(body))


def _text(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as exc:
        raise errors.invalid_body("Empty or invalid json") from exc
    if "\0" in text:
        raise errors.invalid_body("Empty or invalid json")
    return text


def _named(text: str) -> Payload:
    try:
        # Numbers stay text: only the keys matter here, and a number may have any size.
        document = json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise errors.invalid_body("Empty or invalid json") from exc
    if isinstance(document, dict):
        return Payload(text, tuple(sorted(document)))
    if not isinstance(document, list) or not document:
        return Payload("[]")
    return Payload(text, _shared_keys(document))


def _refuse(constant: str) -> str:
    raise ValueError(f"{constant} is not JSON")


def _shared_keys(rows: list[Any]) -> tuple[str, ...]:
    if not isinstance(rows[0], dict):
        raise errors.invalid_body("All object keys must match")
    keys = rows[0].keys()
    if any(not isinstance(row, dict) or row.keys() != keys for row in rows):
        raise errors.invalid_body("All object keys must match")
    return tuple(sorted(keys))
