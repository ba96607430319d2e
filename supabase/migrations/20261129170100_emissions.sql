-- What a dashboard shows: windows, contributors, trend, what is behind a hotspot. All of them read with the rights of who asks, answer
-- one jsonb (PostgREST cuts sets at 1,000 rows without a word) and count whole days of event time: a window ends at the newest day
-- there is, or at as_of, so that last month's upload is not an empty page. Kilograms are kg CO2e; kg = usual_kg + excess_kg.

create function public.emissions_contributors(
  days int default 7, as_of date default null, by text default 'entity', sort text default 'kg', size int default 20
) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  today constant date := coalesce(as_of, (select pg_catalog.max(r.day) from public.rollups r));
  answer jsonb;
begin
  if days is null or days not between 1 and 3660 then
    raise sqlstate 'PT422' using message = 'days must be between 1 and 3660';
  elsif by is null or by not in ('entity', 'event_type', 'key') then
    raise sqlstate 'PT422' using message = 'by must be entity, event_type or key';
  elsif sort is null or sort not in ('kg', 'excess') then
    raise sqlstate 'PT422' using message = 'sort must be kg or excess';
  elsif size is null or size not between 1 and 5000 then
    raise sqlstate 'PT422' using message = 'size must be between 1 and 5000';
  end if;
  with summed as (
    select case when by <> 'event_type' then d.entity end as entity, case when by <> 'entity' then d.event_type end as event_type,
      pg_catalog.sum(d.kg) as kg, pg_catalog.sum(d.excess_kg) as excess_kg, pg_catalog.sum(d.events) as events,
      pg_catalog.sum(d.judged) as judged
    from public.daily_emissions d where d.day > today - days and d.day <= today group by 1, 2
  ), hot as (
    select case when by <> 'event_type' then h.entity end as entity, case when by <> 'entity' then h.event_type end as event_type,
      pg_catalog.count(*) as open, pg_catalog.max(h.id) as id,
      (array['info', 'warn', 'critical'])[pg_catalog.max(case h.severity when 'critical' then 3 when 'warn' then 2 else 1 end)] as severity
    from public.hotspots h where h.status = 'active' group by 1, 2
  ), ranked as (
    select s.*, pg_catalog.row_number() over (order by case sort when 'kg' then s.kg else s.excess_kg end desc, s.entity, s.event_type) as place,
      pg_catalog.sum(case sort when 'kg' then s.kg else s.excess_kg end)
        over (order by case sort when 'kg' then s.kg else s.excess_kg end desc, s.entity, s.event_type rows unbounded preceding) as running,
      nullif(pg_catalog.sum(case sort when 'kg' then s.kg else greatest(s.excess_kg, 0) end) over (), 0) as whole
    from summed s
  )
  select pg_catalog.jsonb_build_object(
    'as_of', today, 'from', today - days + 1, 'to', today, 'by', by, 'sort', sort,
    'kg', coalesce(pg_catalog.sum(r.kg), 0), 'excess_kg', coalesce(pg_catalog.sum(r.excess_kg), 0), 'count', pg_catalog.count(*),
    'make_80_percent', pg_catalog.count(*) filter (where r.running - case sort when 'kg' then r.kg else r.excess_kg end < 0.8 * r.whole),
    'rows', coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
      'entity', r.entity, 'event_type', r.event_type, 'kg', r.kg, 'usual_kg', r.kg - r.excess_kg, 'excess_kg', r.excess_kg,
      'events', r.events, 'judged', r.judged, 'share', pg_catalog.round(case sort when 'kg' then r.kg else r.excess_kg end / r.whole, 4),
      'cumulative', pg_catalog.round(r.running / r.whole, 4), 'open', coalesce(h.open, 0), 'severity', h.severity,
      'hotspot_id', case when h.open = 1 then h.id end) order by r.place) filter (where r.place <= size), '[]'))
  into answer
  from ranked r left join hot h on coalesce(h.entity, '') = coalesce(r.entity, '') and coalesce(h.event_type, '') = coalesce(r.event_type, '');
  -- What is not in the picture because it is too young, or has fallen silent, is told for keys.
  if by = 'key' then
    answer := answer || pg_catalog.jsonb_build_object(
      'warming', coalesce((
        select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
          'entity', w.entity, 'event_type', w.event_type, 'learned', w.learned) order by w.entity, w.event_type)
        from (
          select d.entity, d.event_type, pg_catalog.max(d.learned) as learned from public.detectors d
          group by d.entity, d.event_type having pg_catalog.max(d.learned) < 12
        ) w), '[]'),
      'silent', coalesce((
        select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
          'entity', n.entity, 'event_type', n.event_type, 'since', n.occurred_at) order by n.entity, n.event_type)
        from (
          select distinct on (n.entity, n.event_type) n.* from public.notices n where n.kind in ('no_data', 'data_again')
          order by n.entity, n.event_type, n.id desc
        ) n where n.kind = 'no_data'), '[]'));
  end if;
  return answer;
end $$;
comment on function public.emissions_contributors(int, date, text, text, int) is
  'Who makes the kilograms of the last days (by entity, event_type, or key for both), largest first by kg or excess, with share and running share; for keys also which are warming up or silent.';
revoke execute on function public.emissions_contributors(int, date, text, text, int) from public, anon;
grant execute on function public.emissions_contributors(int, date, text, text, int) to authenticated, service_role;

-- The observations of the detector that an episode is of, the newest first; of a closed episode up to a week after it.
create function public.observations_of(id bigint, points int)
returns table (at timestamptz, days int, event_id bigint, kg double precision, activity double precision, expected_kg double precision,
  spread real, hot boolean, method text, basis text, country text)
language plpgsql stable set search_path = '' as $$
declare
  hotspot public.hotspots;
  upto timestamptz;
  shown record;
begin
  select h.* into hotspot from public.hotspots h where h.id = observations_of.id;
  upto := case when hotspot.status = 'active' then 'infinity' else hotspot.last_seen_at + interval '7 days' end;
  select p.method, p.activity_basis, p.grid_country into shown from public.predictions p
  where p.event_id = hotspot.event_id and p.superseded_at is null;
  if not found then -- the event is gone: the way in which the newest one was computed
    select p.method, p.activity_basis, p.grid_country into shown from public.predictions p
    where p.entity = hotspot.entity and p.entity_type = hotspot.entity_type and p.event_type = hotspot.event_type
      and p.superseded_at is null and p.occurred_at <= upto
    order by p.occurred_at desc limit 1;
  end if;
  if hotspot.series = 'period' then
    return query
      select p.until::timestamp at time zone 'UTC', p.until - p.since + 1, p.event_id, p.kg::double precision,
        case when p.basis <> 'none' then p.activity end, p.expected_kg::double precision, p.spread, p.hotspot, p.method, p.basis, p.country
      from public.periods p
      where p.entity = hotspot.entity and p.entity_type = hotspot.entity_type and p.event_type = hotspot.event_type
        and p.method = shown.method and p.basis = coalesce(shown.activity_basis, 'none') and p.country = coalesce(shown.grid_country, '')
        and p.until <= upto
      order by p.until desc limit points;
  else
    return query
      select p.occurred_at, 0, p.event_id, p.predicted_co2, p.activity, p.expected_kg, p.spread, p.hotspot, p.method, p.activity_basis,
        coalesce(p.grid_country, '')
      from public.predictions p
      where p.entity = hotspot.entity and p.entity_type = hotspot.entity_type and p.event_type = hotspot.event_type
        and p.superseded_at is null and p.method = shown.method and p.activity_basis is not distinct from shown.activity_basis
        and p.grid_country is not distinct from shown.grid_country and p.occurred_at <= upto
      order by p.occurred_at desc limit points;
  end if;
end $$;
comment on function public.observations_of(bigint, int) is 'Part of hotspot_series and hotspot_sparks.';
revoke execute on function public.observations_of(bigint, int) from public, anon;
grant execute on function public.observations_of(bigint, int) to authenticated, service_role;

create function public.hotspot_series(id bigint, points int default 50) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  hotspot public.hotspots;
  first record;
begin
  if points is null or points not between 1 and 1000 then
    raise sqlstate 'PT422' using message = 'points must be between 1 and 1000';
  end if;
  select h.* into hotspot from public.hotspots h where h.id = hotspot_series.id;
  if not found then
    raise sqlstate 'PT404' using message = pg_catalog.format('hotspot %s does not exist', hotspot_series.id);
  end if;
  select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
      'at', o.at, 'event_id', o.event_id, 'kg', o.kg, 'activity', o.activity, 'expected_kg', o.expected_kg,
      'value', o.kg / w.work, 'usual', o.expected_kg / w.work,
      'low', o.expected_kg / w.work / pg_catalog.power(1 + o.spread, 2), 'high', o.expected_kg / w.work * pg_catalog.power(1 + o.spread, 2),
      'ratio', pg_catalog.round((o.kg / nullif(o.expected_kg, 0))::numeric, 4), 'hot', o.hot)
      || case when o.days > 0 then pg_catalog.jsonb_build_object('days', o.days) else '{}' end order by o.at, o.event_id) as points,
    pg_catalog.min(o.method) as method, pg_catalog.min(o.basis) as basis, pg_catalog.min(o.country) as country
  into first
  from public.observations_of(hotspot.id, points) o, lateral (select coalesce(nullif(o.activity, 0), 1) as work) w;
  return pg_catalog.jsonb_build_object(
    'hotspot_id', hotspot.id, 'series', hotspot.series, 'method', first.method, 'basis', coalesce(first.basis, 'none'),
    'country', first.country, 'since', hotspot.occurred_at, 'until', case when hotspot.status <> 'active' then hotspot.last_seen_at end,
    'points', coalesce(first.points, '[]'));
end $$;
comment on function public.hotspot_series(bigint, int) is
  'The observations behind a hotspot, oldest first: value in kg CO2e per unit of basis (kg of a job or day where basis is none), what such work usually costs and two usual spreads around it.';
revoke execute on function public.hotspot_series(bigint, int) from public, anon;
grant execute on function public.hotspot_series(bigint, int) to authenticated, service_role;

create function public.hotspot_sparks(ids bigint[], points int default 50) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  if points is null or points not between 1 and 200 then
    raise sqlstate 'PT422' using message = 'points must be between 1 and 200';
  elsif ids is null or pg_catalog.cardinality(ids) > 200 then
    raise sqlstate 'PT422' using message = 'ids must be at most 200';
  end if;
  return coalesce((
    select pg_catalog.jsonb_object_agg(h.id, s.ratios)
    from public.hotspots h cross join lateral (
      select coalesce(pg_catalog.jsonb_agg(pg_catalog.round((o.kg / nullif(o.expected_kg, 0))::numeric, 3) order by o.at, o.event_id), '[]')
        as ratios
      from public.observations_of(h.id, points) o) s
    where h.id = any (ids)), '{}');
end $$;
comment on function public.hotspot_sparks(bigint[], int) is
  'For each of up to 200 hotspots the ratios of its newest observations to what is usual, oldest first, null where nothing was usual yet: small charts of a list.';
revoke execute on function public.hotspot_sparks(bigint[], int) from public, anon;
grant execute on function public.hotspot_sparks(bigint[], int) to authenticated, service_role;

-- What people decided may be read by those who may see what it was about.
grant select (id, action, entity_type, entity_id, user_id, role, notes, created_at, undone_at) on public.audit_log to authenticated;
create policy "Signed-in users read decisions on what they may see" on public.audit_log for select to authenticated using (
  case entity_type
    when 'hotspot' then exists (select from public.hotspots h where h.id = entity_id)
    when 'alert' then exists (select from public.alerts a where a.id = entity_id)
    when 'recommendation' then exists (select from public.recommendations r where r.id = entity_id)
    when 'silence' then exists (select from public.silences s where s.id = entity_id)
    else false end);

create function public.hotspot_history(id bigint) returns jsonb
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
      'at', t.at, 'kind', t.kind, 'what', t.what, 'text', t.text, 'level', t.level, 'by', t.by, 'id', t.id, 'about', t.about,
      'until', t.until) order by t.at, t.place, t.id)
    from (
      select hotspot.created_at as at, 0 as place, 'hotspot' as kind, 'found' as what, hotspot.reason as text, hotspot.severity as level,
        null as by, hotspot.id as id, null as about, null::timestamptz as until
      union all
      select hotspot.resolved_at, 4, 'hotspot', hotspot.status, coalesce(hotspot.resolution, 'by a person'), null, null, hotspot.id, null, null
      where hotspot.resolved_at is not null
      union all
      select a.created_at, 1, 'alert', a.kind, a.message, a.level, null, a.id, null, null
      from public.alerts a where a.hotspot_id = hotspot.id
      union all
      select r.created_at, 2, 'recommendation', 'proposed', r.action, null, r.source, r.id, r.action, null
      from public.recommendations r where r.hotspot_id = hotspot.id
      union all
      select l.created_at, 3, l.entity_type, l.action, l.notes, null, l.user_id, l.entity_id, l.about, l.until from said l
      union all
      select l.undone_at, 5, l.entity_type, 'undone', 'taken back: ' || l.action, null, l.user_id, l.entity_id, l.about, null
      from said l where l.undone_at is not null
      union all
      select s.until, 3, 'silence', 'over', null, null, null, s.id, null, s.until
      from silenced s where s.ended_at is null and s.until <= pg_catalog.clock_timestamp()
      union all
      select n.created_at, 1, 'notice', n.kind, n.message, null, null, n.id, null, null from public.notices n
      where n.entity = hotspot.entity and n.entity_type = hotspot.entity_type and n.event_type = hotspot.event_type
        and n.occurred_at >= hotspot.occurred_at and n.created_at <= coalesce(hotspot.resolved_at, 'infinity')
    ) t);
end $$;
comment on function public.hotspot_history(bigint) is
  'Everything that happened to a hotspot, oldest first: how it was found, alerts, advice, decisions of people with their notes (on it, its alerts, its advice, silences that match it, a reset that ended it) and what was taken back, notices of its key, its end. about is the action of advice, until the end of a silence.';
revoke execute on function public.hotspot_history(bigint) from public, anon;
grant execute on function public.hotspot_history(bigint) to authenticated, service_role;
