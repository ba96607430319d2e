"""Which rows a subscriber may see: asked of the database itself, as that subscriber."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from emulator.realtime.tables import Key, Table, Viewer


async def visible(
    connection: AsyncConnection[TupleRow],
    viewer: Viewer,
    wanted: Mapping[int, Collection[Key]],
    tables: Mapping[int, Table],
) -> set[tuple[int, Key]]:
    """The (table oid, key) pairs whose rows exist now and that the policies show to `viewer`.

    Raises psycopg.Error, also when a policy raises.
    """
    found: set[tuple[int, Key]] = set()
    async with connection.transaction():
        await connection.execute(
            "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)",
            (viewer.role, viewer.claims),
        )
        for oid, keys in wanted.items():
            asked = list(keys)
            columns = [list(column) for column in zip(*asked, strict=True)]
            cursor = await connection.execute(_query(tables[oid]), columns)
            found.update((oid, asked[number - 1]) for (number,) in await cursor.fetchall())
    return found


def _query(table: Table) -> sql.Composed:
    keys = [column for column in table.columns if column.key]
    names = [f"c{number}" for number in range(len(keys))]
    matches = sql.SQL(" and ").join(
        sql.SQL("t.{} = k.{}::{}").format(
            sql.Identifier(column.name), sql.Identifier(name), _raw(column.sql_type)
        )
        for column, name in zip(keys, names, strict=True)
    )
    return sql.SQL(
        "select k.n from unnest({arrays}) with ordinality as k({names}, n)"
        " where exists (select 1 from {table} t where {matches})"
    ).format(
        arrays=sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(keys)),
        names=sql.SQL(", ").join(map(sql.Identifier, names)),
        table=_raw(table.sql_name),
        matches=matches,
    )


def _raw(name: str) -> sql.SQL:
    """A name that the catalog query has quoted."""
    return sql.SQL(name.replace("%", "%%"))
