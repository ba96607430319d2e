"""Reads a schema from the catalogs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.rows import DictRow, dict_row

from emulator.rest import relations
from emulator.rest.relations import ForeignKey
from emulator.rest.schema import Argument, Column, Function, Returns, Schema, Table

# With an empty search_path every type outside pg_catalog is shown with its schema.
SETTINGS = "select set_config('search_path', '', true)"

TABLES = """
select c.relname as name,
       coalesce((select array_agg(a.attname::text order by k.position)
                   from pg_index i
                  cross join unnest(i.indkey::int2[]) with ordinality as k (attnum, position)
                   join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
                  where i.indrelid = c.oid and i.indisprimary), '{}') as primary_key,
       array(select jsonb_build_array(
                      a.attname,
                      case when t.typtype = 'd' then format_type(a.atttypid, null)
                           else format_type(a.atttypid, a.atttypmod) end,
                      case when a.attidentity = 'd' then format('nextval(%L)',
                               pg_get_serial_sequence(c.oid::regclass::text, a.attname))
                           when a.attgenerated <> '' then null
                           when d.adbin is null and t.typtype = 'd' then t.typdefault
                           else pg_get_expr(d.adbin, d.adrelid) end)
               from pg_attribute a
               join pg_type t on t.oid = a.atttypid
               left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
              where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
              order by a.attnum) as columns
  from pg_class c
 where c.relnamespace = to_regnamespace($1)
   and c.relkind in ('r', 'p', 'v', 'm', 'f')
   and not c.relispartition
"""

FOREIGN_KEYS = """
select c.conname as name,
       t.relname as table,
       f.relname as foreign,
       array(select jsonb_build_array(own.attname, theirs.attname)
               from unnest(c.conkey, c.confkey) with ordinality as k (own, theirs, position)
               join pg_attribute own on own.attrelid = t.oid and own.attnum = k.own
               join pg_attribute theirs on theirs.attrelid = f.oid and theirs.attnum = k.theirs
              order by k.position) as columns,
       exists (select from pg_constraint u
                where u.conrelid = t.oid and u.contype in ('p', 'u')
                  and u.conkey @> c.conkey and u.conkey <@ c.conkey) as is_unique
  from pg_constraint c
  join pg_class t on t.oid = c.conrelid
  join pg_class f on f.oid = c.confrelid
 where c.contype = 'f' and c.conparentid = 0
   and t.relnamespace = to_regnamespace($1) and f.relnamespace = to_regnamespace($1)
 order by t.relname, c.conname
"""

FUNCTIONS = """
select p.proname as name,
       array(select format_type(a.type, null)
               from unnest(p.proargtypes::oid[]) with ordinality as a (type, position)
              order by a.position) as types,
       coalesce(p.proargnames, '{}') as names,
       coalesce(p.proargmodes::text[], '{}') as modes,
       p.pronargdefaults as defaults,
       p.proretset as returns_set,
       p.provolatile::text as volatility,
       case when b.typrelid <> 0 then b.typname end as row_type,
       b.oid = 'void'::regtype as returns_void,
       b.typtype = 'c' or coalesce(p.proargmodes::text[] && '{t,b,o}', false) as returns_rows,
       coalesce(p.proconfig, '{}') as settings
  from pg_proc p
  join pg_type r on r.oid = p.prorettype
  join pg_type b on b.oid = case when r.typtype = 'd' then r.typbasetype else r.oid end
 where p.pronamespace = to_regnamespace($1)
   and p.prokind = 'f'
   and b.oid <> all (array['trigger'::regtype, 'event_trigger'::regtype])
"""

# Settings of the database users that requests may turn into; only what such a user may set itself.
ROLES = """
select r.rolname as role, s.setting
  from pg_roles r
  join pg_db_role_setting c on c.setrole = r.oid
   and c.setdatabase in (0, (select oid from pg_database where datname = current_database()))
 cross join unnest(c.setconfig) as s (setting)
  join pg_settings g on g.name = split_part(s.setting, '=', 1) and g.context = 'user'
 where pg_has_role(current_user, r.oid, 'member') and r.rolname <> current_user
 order by c.setdatabase
"""

# Settings of a function that have to hold before it starts.
HOISTED = frozenset({"statement_timeout"})
# Without a length these would cut a value to one character.
UNLIMITED = {"character": "character varying", "bit": "bit varying"}


async def read(connection: AsyncConnection[Any], name: str) -> Schema:
    """The schema `name` as the connection's user sees it in the catalogs."""
    cursor = AsyncRawCursor(connection, row_factory=dict_row)
    async with connection.transaction(), cursor:
        await cursor.execute(SETTINGS)
        tables = await (await cursor.execute(TABLES, [name])).fetchall()
        keys = await (await cursor.execute(FOREIGN_KEYS, [name])).fetchall()
        functions = await (await cursor.execute(FUNCTIONS, [name])).fetchall()
        roles = await (await cursor.execute(ROLES)).fetchall()
    found = _tables(tables)
    related = [key for key in _keys(keys) if key.table in found and key.foreign in found]
    return Schema(
        name,
        found,
        _functions(functions),
        _role_settings(roles),
        relations.of(related, {table.name: table.primary_key for table in found.values()}),
    )


def _tables(rows: Sequence[DictRow]) -> Mapping[str, Table]:
    return {
        row["name"]: Table(
            row["name"],
            {name: Column(name, type_, default) for name, type_, default in row["columns"]},
            tuple(row["primary_key"]),
        )
        for row in rows
    }


def _keys(rows: Sequence[DictRow]) -> list[ForeignKey]:
    return [
        ForeignKey(
            row["name"],
            row["table"],
            row["foreign"],
            tuple((own, theirs) for own, theirs in row["columns"]),
            row["is_unique"],
        )
        for row in rows
    ]


def _functions(rows: Sequence[DictRow]) -> Mapping[str, tuple[Function, ...]]:
    functions: dict[str, tuple[Function, ...]] = {}
    for row in rows:
        arguments = _arguments(row)
        if sum(not argument.name for argument in arguments) > (len(arguments) == 1):
            continue  # arguments without a name cannot be given
        overloads = functions.get(row["name"], ())
        functions[row["name"]] = (*overloads, _function(row, arguments))
    return functions


def _function(row: DictRow, arguments: tuple[Argument, ...]) -> Function:
    settings = (setting.split("=", 1) for setting in row["settings"])
    return Function(
        row["name"],
        arguments,
        _returns(row),
        row["volatility"],
        row["row_type"],
        tuple((key, value) for key, value in settings if key in HOISTED),
    )


def _arguments(row: DictRow) -> tuple[Argument, ...]:
    types = [_unlimited(type_) for type_ in row["types"]]
    modes = row["modes"] or ["i"] * len(types)
    names = row["names"] or [""] * len(modes)
    given = [(n, m) for n, m in zip(names, modes, strict=False) if m in {"i", "b", "v"}]
    required = len(types) - row["defaults"]
    return tuple(
        Argument(name, type_, position < required, mode == "v")
        for position, ((name, mode), type_) in enumerate(zip(given, types, strict=True))
    )


def _unlimited(type_: str) -> str:
    base = type_.removesuffix("[]")
    return UNLIMITED.get(base, base) + type_[len(base) :]


def _returns(row: DictRow) -> Returns:
    if row["returns_set"]:
        return "rows" if row["returns_rows"] else "scalars"
    if row["returns_void"]:
        return "void"
    return "row" if row["returns_rows"] else "scalar"


def _role_settings(rows: Sequence[DictRow]) -> Mapping[str, tuple[tuple[str, str], ...]]:
    settings: dict[str, dict[str, str]] = {}
    for row in rows:
        key, value = row["setting"].split("=", 1)
        settings.setdefault(row["role"], {})[key] = value
    return {role: tuple(values.items()) for role, values in settings.items()}
