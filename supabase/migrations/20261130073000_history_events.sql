-- The history of an episode tells alerts with the time of the event that they are about, beside the time when they were told: of a file of
-- the past both lie months apart.

create or replace function public.hotspot_history(id bigint) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  hotspot public.hotspots;
begin
  select h.* into hotspot from public.hotspots h where h.id = hotspot_history.id;
  if not found then
    raise sqlstate 'PT404' using message = pg_catalog.format('hotspot %s does not exist', hotspot_history.id);
  end if;
  return (
    with silenced as (
      select s.* from public.silences s
      where (s.entity is null or s.entity = hotspot.entity) and (s.event_type is null or s.event_type = hotspot.event_type)
        and (s.severity is null or pg_catalog.array_position('{info,warn,critical}', hotspot.severity)
          <= pg_catalog.array_position('{info,warn,critical}', s.severity))
        and coalesce(s.ended_at, s.until) > hotspot.created_at and s.created_at <= coalesce(hotspot.resolved_at, 'infinity')
    ), about as (
      select 'hotspot' as kind, hotspot.id as id, null as about, null::timestamptz as until
      union all select 'alert', a.id, null, null from public.alerts a where a.hotspot_id = hotspot.id
      union all select 'recommendation', r.id, r.action, null from public.recommendations r where r.hotspot_id = hotspot.id
      union all select 'silence', s.id, null, s.until from silenced s
    ), said as (
      select l.id, l.created_at, l.undone_at, l.entity_type, l.entity_id, l.action, l.user_id, l.notes, a.about, a.until
      from about a join public.audit_log l on l.entity_type = a.kind and l.entity_id = a.id
      union all
      select l.id, l.created_at, l.undone_at, l.entity_type, l.entity_id, l.action, l.user_id, l.notes, null, null
      from public.audit_log l
      where l.entity_type = 'key' and hotspot.resolution = 'superseded' and (l.before ->> 'hotspot')::bigint = hotspot.id
    )
    select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
      'at', t.at, 'event_at', t.event_at, 'kind', t.kind, 'what', t.what, 'text', t.text, 'level', t.level, 'by', t.by, 'id', t.id, 'about', t.about,
      'until', t.until) order by t.at, t.place, t.id)
    from (
      select hotspot.created_at as at, 0 as place, 'hotspot' as kind, 'found' as what, hotspot.reason as text, hotspot.severity as level,
        null as by, hotspot.id as id, null as about, null::timestamptz as until, hotspot.occurred_at as event_at
      union all
      select hotspot.resolved_at, 4, 'hotspot', hotspot.status, coalesce(hotspot.resolution, 'by a person'), null, null, hotspot.id, null, null, null
      where hotspot.resolved_at is not null
      union all
      select a.created_at, 1, 'alert', a.kind, a.message, a.level, null, a.id, null, null, a.occurred_at
      from public.alerts a where a.hotspot_id = hotspot.id
      union all
      select r.created_at, 2, 'recommendation', 'proposed', r.action, null, r.source, r.id, r.action, null, null
      from public.recommendations r where r.hotspot_id = hotspot.id
      union all
      select l.created_at, 3, l.entity_type, l.action, l.notes, null, l.user_id, l.entity_id, l.about, l.until, null from said l
      union all
      select l.undone_at, 5, l.entity_type, 'undone', 'taken back: ' || l.action, null, l.user_id, l.entity_id, l.about, null, null
      from said l where l.undone_at is not null
      union all
      select s.until, 3, 'silence', 'over', null, null, null, s.id, null, s.until, null
      from silenced s where s.ended_at is null and s.until <= pg_catalog.clock_timestamp()
      union all
      select n.created_at, 1, 'notice', n.kind, n.message, null, null, n.id, null, null, n.occurred_at from public.notices n
      where n.entity = hotspot.entity and n.entity_type = hotspot.entity_type and n.event_type = hotspot.event_type
        and n.occurred_at >= hotspot.occurred_at and n.created_at <= coalesce(hotspot.resolved_at, 'infinity')
    ) t);
end $$;
comment on function public.hotspot_history(bigint) is
  'Everything that happened to a hotspot, oldest first: how it was found, alerts, advice, decisions of people with their notes (on it, its alerts, its advice, silences that match it, a reset that ended it) and what was taken back, notices of its key, its end. at is when it was told, event_at the time of the event that it is about, about the action of advice, until the end of a silence.';
