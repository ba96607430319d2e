"""A published table as the database describes it at the moment of a poll."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emulator.realtime.values import quoted


@dataclass(frozen=True, slots=True)
class TableColumn:
    """`type_name` as payloads show it, `sql_type` as SQL can cast to it; `key`: primary key."""

    name: str
    type_name: str
    sql_type: str
    type_oid: int
    key: bool


@dataclass(frozen=True, slots=True)
class Table:
    """`selectable`: the columns that each role may read; `rls`: row level security is on.

    `keys`: the columns of the primary key; empty when there is none.
    """

    oid: int
    sql_name: str
    rls: bool
    columns: tuple[TableColumn, ...]
    selectable: Mapping[str, frozenset[str]]
    keys: frozenset[str]

    def column(self, name: str) -> TableColumn | None:
        """The column of that name, if there is one now."""
        return next((column for column in self.columns if column.name == name), None)

    def columns_json(self, visible: frozenset[str]) -> str:
        """The `columns` of a payload, in the table's order."""
        entries = (
            f'{{"name": {quoted(column.name)}, "type": {quoted(column.type_name)}}}'
            for column in self.columns
            if column.name in visible
        )
        return "[" + ", ".join(entries) + "]"


@dataclass(frozen=True, slots=True)
class Viewer:
    """A database role and the JSON of its claims; subscribers with equal ones see the same."""

    role: str
    claims: str


Key = tuple[str, ...]  # texts of a primary key, in the table's order of columns


def viewer(role: str, claims: Mapping[str, Any]) -> Viewer:
    """The viewer with these claims, whatever their order."""
    return Viewer(role, json.dumps(claims, sort_keys=True, ensure_ascii=False))
