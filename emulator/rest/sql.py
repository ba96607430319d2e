"""SQL text with its parameters: values never become text, identifiers are always quoted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg.sql import Identifier

from emulator.rest.errors import ApiError

Value = str | list[str] | None


@dataclass(frozen=True)
class Parameter:
    """A value in its place."""

    value: Value


@dataclass(frozen=True)
class Sql:
    """A piece of SQL; pieces are added to and joined into larger ones."""

    parts: tuple[str | Parameter, ...] = ()

    def __add__(self, other: Sql | str) -> Sql:
        return Sql(self.parts + ((other,) if isinstance(other, str) else other.parts))

    def __radd__(self, other: str) -> Sql:
        return Sql((other, *self.parts))

    def __bool__(self) -> bool:
        return bool(self.parts)

    def render(self) -> tuple[str, list[Value]]:
        """The statement with `$1`, `$2`, … and the values for them."""
        text, values = [], []
        for part in self.parts:
            if isinstance(part, Parameter):
                values.append(part.value)
                text.append(f"${len(values)}")
            else:
                text.append(part)
        return "".join(text), values


def raw(text: str) -> Sql:
    """SQL that is written in this package or comes from the catalog, never from a request."""
    return Sql((text,))


def value(given: Value) -> Sql:
    """A parameter without a type: the server gives it the type of what it meets.

    Raises ApiError 22021, as the database would, for text that holds a NUL.
    """
    texts = [given] if isinstance(given, str) else given or []
    if any("\0" in text for text in texts):
        raise ApiError(400, "22021", 'invalid byte sequence for encoding "UTF8": 0x00')
    return Sql((Parameter(given),))


def identifier(*names: str) -> Sql:
    """A quoted, possibly qualified name; like the real server it ends at a NUL."""
    return Sql((Identifier(*(name.split("\0")[0] for name in names)).as_string(),))


def join(separator: str, pieces: Iterable[Sql]) -> Sql:
    """The pieces with `separator` in between."""
    parts: list[str | Parameter] = []
    for piece in pieces:
        if parts:
            parts.append(separator)
        parts.extend(piece.parts)
    return Sql(tuple(parts))


def array_literal(values: Iterable[str]) -> str:
    """The text of an array of any type, for a parameter whose type the server infers."""
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in escaped) + "}"
