"""What the writers do to the three tables. The content of a row names its version, so that a frame
can be checked by itself; the columns that clients filter on change, where they may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from chaos.frames import FILTERABLE
from chaos.ledger import Row

INSERT: Mapping[str, LiteralString] = {
    "hotspots": """
        insert into public.hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,
          percent_above, severity, status)
        select 'SUP-' || (random() * %(entities)s)::int,
          (array['supplier', 'route', 'factory', 'warehouse'])[1 + n %% 4],
          (array['logistics', 'factory', 'warehouse', 'delivery'])[1 + (random() * 3)::int],
          1, 10, 25, (array['info', 'warn', 'critical'])[1 + (random() * 2)::int],
          (array['active', 'active', 'resolved', 'ignored'])[1 + (random() * 3)::int]
        from generate_series(1, %(count)s) n
        on conflict do nothing
        returning id, version, severity, status, entity""",
    "alerts": """
        insert into public.alerts (hotspot_id, level, message)
        select id, (array['info', 'warn', 'critical'])[1 + (random() * 2)::int], '1'
        from unnest(%(parents)s::bigint[]) id
        returning id, version, level""",
    "recommendations": """
        insert into public.recommendations (hotspot_id, action, co2_reduction)
        select id, %(action)s, 1 from unnest(%(parents)s::bigint[]) id
        returning id, version, status""",
}
UPDATE: Mapping[str, Sequence[LiteralString]] = {
    "hotspots": (
        """update public.hotspots set predicted_co2 = version + 1,
          severity = (array['info', 'warn', 'critical'])[1 + (random() * 2)::int]
        where id = any(%(ids)s) returning id, version, severity, status, entity""",
        """update public.hotspots set predicted_co2 = version + 1,
          status = (array['active', 'resolved', 'ignored'])[1 + (random() * 2)::int]
        where id = any(%(ids)s) returning id, version, severity, status, entity""",
        """update public.hotspots set predicted_co2 = version + 1
        where id = any(%(ids)s) returning id, version, severity, status, entity""",
    ),
    "alerts": (
        """update public.alerts set message = version + 1, acknowledged = not acknowledged
        where id = any(%(ids)s) returning id, version, level""",
    ),
    "recommendations": (
        """update public.recommendations set co2_reduction = version + 1,
          status = (array['pending', 'approved', 'rejected', 'implemented'])
            [1 + (random() * 3)::int]
        where id = any(%(ids)s) returning id, version, status""",
        """update public.recommendations set co2_reduction = version + 1
        where id = any(%(ids)s) returning id, version, status""",
    ),
}
# Whoever deletes a parent locks it first: no child can be added any more, so that those that the
# foreign key deletes with it are deleted, and known, before.
LOCK: LiteralString = (
    "select id from public.hotspots where id = any(%(ids)s) order by id for update"
)
DELETE_CHILDREN: Mapping[str, LiteralString] = {
    "alerts": "delete from public.alerts where hotspot_id = any(%(ids)s) returning id, version + 1",
    "recommendations": "delete from public.recommendations where hotspot_id = any(%(ids)s)"
    " returning id, version + 1",
}
DELETE: Mapping[str, LiteralString] = {
    "hotspots": "delete from public.hotspots where id = any(%(ids)s) returning id, version + 1",
    "alerts": "delete from public.alerts where id = any(%(ids)s) returning id, version + 1",
    "recommendations": "delete from public.recommendations where id = any(%(ids)s)"
    " returning id, version + 1",
}
COPY: LiteralString = "select to_jsonb(x) from public.{} x where id = any(%(ids)s) order by id"
# Rows as they were copied; the content names the version that each will have.
PUT_BACK: LiteralString = (
    "insert into public.{table} overriding system value"
    " select * from jsonb_populate_recordset(null::public.{table}, %(rows)s)"
    " returning id, version, {columns}"
)


def numbered(table: str, copied: Mapping[str, Any], version: int) -> Mapping[str, Any]:
    """The copied row with the content of that version."""
    match table:
        case "hotspots":
            return {**copied, "predicted_co2": version}
        case "alerts":
            return {**copied, "message": str(version)}
        case _:
            return {**copied, "co2_reduction": version}


def row_of(table: str, columns: Sequence[Any]) -> Row:
    """The columns after id and version, by name."""
    return dict(zip(FILTERABLE[table], columns, strict=True))
