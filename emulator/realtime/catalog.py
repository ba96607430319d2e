"""What the database says about published tables, and whether a binding fits them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from emulator.realtime.filters import MAX_IN_VALUES, TRUTH_VALUES, Binding, Filter, InvalidBinding
from emulator.realtime.tables import Table, TableColumn

Connection = AsyncConnection[TupleRow]

_TABLES = """
select c.oid::bigint, format('%%I.%%I', n.nspname, c.relname), c.relrowsecurity,
  a.attname, t.typname, format('%%I.%%I', tn.nspname, t.typname), t.oid::bigint,
  a.attnum = any (coalesce(k.conkey, '{}')),
  array(select has_column_privilege(r, c.oid, a.attnum, 'SELECT')
        from unnest(%(roles)s::text[]) with ordinality as u(r, n) order by n)
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_catalog.pg_type t on t.oid = a.atttypid
join pg_catalog.pg_namespace tn on tn.oid = t.typnamespace
left join pg_catalog.pg_constraint k on k.conrelid = c.oid and k.contype = 'p'
where c.oid = any (%(oids)s::oid[])
order by c.oid, a.attnum
"""

# Names are patterns in the real server too: `_` stands for any character.
_PUBLISHED = """
select c.oid::bigint
from pg_catalog.pg_publication_tables p
join pg_catalog.pg_namespace n on n.nspname = p.schemaname
join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
where p.pubname = %s
  and p.schemaname like (case %s when '*' then '%%' else %s end) escape ''
  and p.tablename like (case %s when '*' then '%%' else %s end) escape ''
order by c.oid
"""


# The stream gives the low half of a transaction id.
_FINISHED = """
select coalesce(bool_and(pg_xact_status((xmax - near)::text::xid8) <> 'in progress'), true)
from (select xmax, diff - case when diff >= 2147483648 then 4294967296 else 0 end as near
      from (select xmax, (xmax - x) & 4294967295 as diff
            from pg_snapshot_xmax(pg_current_snapshot()) as s, lateral (
              select s::text::bigint as xmax) as m, unnest(%s::bigint[]) as x) as d) as n
"""


async def finished(connection: Connection, xids: Collection[int]) -> bool:
    """Whether all these committed transactions are visible to new queries.

    A commit is written out, and so streamed, a moment before others can see its rows.
    """
    cursor = await connection.execute(_FINISHED, (list(xids),))
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def describe(
    connection: Connection, oids: Collection[int], roles: Collection[str]
) -> dict[int, Table]:
    """The tables that still exist among `oids`, with what each role may read.

    Raises psycopg.Error, also when a role is gone.
    """
    names = list(roles)
    cursor = await connection.execute(_TABLES, {"oids": list(oids), "roles": names})
    tables: dict[int, list[tuple[Any, ...]]] = {}
    for row in await cursor.fetchall():
        tables.setdefault(row[0], []).append(row)
    return {oid: _table(rows, names) for oid, rows in tables.items()}


def _table(rows: list[tuple[Any, ...]], roles: list[str]) -> Table:
    oid, name, rls = rows[0][:3]
    columns = tuple(TableColumn(*row[3:8]) for row in rows)
    selectable = {
        role: frozenset(row[3] for row in rows if row[8][number])
        for number, role in enumerate(roles)
    }
    keys = frozenset(column.name for column in columns if column.key)
    return Table(oid, name, rls, columns, selectable, keys)


NUL = 'ERROR 22021 (character_not_in_repertoire) invalid byte sequence for encoding "UTF8": 0x00'


async def resolve(
    connection: Connection, publication: str, role: str, bindings: Iterable[Binding]
) -> list[frozenset[int]]:
    """The tables that each binding means.

    Raises InvalidBinding at the first that the database does not accept, in the real server's
    words, and psycopg.OperationalError when the database is away.
    """
    return [await _resolve(connection, publication, role, binding) for binding in bindings]


async def _resolve(
    connection: Connection, publication: str, role: str, binding: Binding
) -> frozenset[int]:
    if "\0" in "".join((role, *binding.texts())):
        raise _exception(binding, NUL)  # the driver would not even send it
    names = (publication, *(binding.schema,) * 2, *(binding.table,) * 2)
    cursor = await connection.execute(_PUBLISHED, names)
    oids = frozenset(row[0] for row in await cursor.fetchall())
    if not oids:
        raise InvalidBinding(
            "Unable to subscribe to changes with given parameters. Please check Realtime is "
            f"enabled for the given connect parameters: [{binding.described()}]"
        )
    try:
        await connection.execute("select %s::regrole", (role,))
        for table in (await describe(connection, oids, [role])).values():
            await _check(connection, table, role, binding)
    except psycopg.OperationalError:
        raise
    except psycopg.Error as exc:
        raise _exception(binding, _named(exc)) from exc
    except _Refused as exc:
        raise _exception(binding, f"ERROR P0001 (raise_exception) {exc}") from exc
    return oids


class _Refused(Exception):
    pass


def _exception(binding: Binding, text: str) -> InvalidBinding:
    return InvalidBinding(
        "Unable to subscribe to changes with given parameters. An exception happened so please "
        f"check your connect parameters: [{binding.described()}]. Exception: {text}"
    )


def _named(error: psycopg.Error) -> str:
    """The error with its condition name, which psycopg spells as a class name."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()
    return f"ERROR {error.sqlstate} ({name}) {error.diag.message_primary}"


async def _check(connection: Connection, table: Table, role: str, binding: Binding) -> None:
    readable = table.selectable[role]
    for filter_ in binding.filters:
        column = table.column(filter_.column)
        if column is None or column.name not in readable:
            raise _Refused(f"invalid column for filter {filter_.column}")
        await _check_value(connection, filter_, column)
    for name in binding.select or ():
        if name not in readable:
            raise _Refused(f"invalid column for select {name}")


async def _check_value(connection: Connection, filter_: Filter, column: TableColumn) -> None:
    value, operator = filter_.value, filter_.operator
    kind = sql.SQL(column.sql_type)  # quoted by the catalog query
    match operator:
        case "in":
            query = sql.SQL("select cardinality(%s::text::{}[])").format(kind)
            cursor = await connection.execute(query, (value,))
            if ((await cursor.fetchone()) or (0,))[0] > MAX_IN_VALUES:
                raise _Refused(f"too many values for `in` filter. Maximum {MAX_IN_VALUES}")
        case "is":
            if value not in TRUTH_VALUES:
                raise _Refused("invalid value for is filter: must be null, true, false, or unknown")
            if value != "null" and column.type_name != "bool":
                raise _Refused(
                    f"is {value} filter requires a boolean column, got {column.type_name}"
                )
        case "like" | "ilike" | "match" | "imatch":
            await _check_pattern(connection, filter_, column)
        case _:
            await connection.execute(sql.SQL("select %s::text::{}").format(kind), (value,))


async def _check_pattern(connection: Connection, filter_: Filter, column: TableColumn) -> None:
    symbol = {"match": "~", "imatch": "~*"}.get(filter_.operator, "~~")
    cursor = await connection.execute(
        "select 1 from pg_catalog.pg_operator where oprname = %s and oprleft = %s",
        (symbol, column.type_oid),
    )
    if await cursor.fetchone() is None:
        raise _Refused(
            f"operator {filter_.operator} requires a text-compatible column type, "
            f"got {column.type_name}"
        )
    if symbol == "~~":
        return
    try:
        await connection.execute("select '' ~ %s::text", (filter_.value,))
    except psycopg.DataError as exc:
        reason = exc.diag.message_primary
        raise _Refused(
            f"invalid regular expression for {filter_.operator} filter: {reason}"
        ) from exc
