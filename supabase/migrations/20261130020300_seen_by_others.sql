-- What others see of a worker's limits and of silences: both were known only to who had set them.

-- Frontends hear of a silence that another user makes or ends.
alter publication supabase_realtime add table public.silences;

-- What is silenced is counted by itself and is not the worst, and the limits of the severities are told.
create function public.emissions_summary(as_of date default null, entity text default null, event_type text default null) returns jsonb
language sql stable set search_path = '' as $$
  with clock as (
    select coalesce(emissions_summary.as_of, (select pg_catalog.max(r.day) from public.rollups r)) as today
  ), daily as materialized (
    select d.day, pg_catalog.sum(d.kg) as kg, pg_catalog.sum(d.kg_ttw) as kg_ttw, pg_catalog.sum(d.kg_wtt) as kg_wtt,
      pg_catalog.sum(d.excess_kg) as excess_kg, pg_catalog.sum(d.events) as events, pg_catalog.sum(d.judged) as judged,
      pg_catalog.sum(d.hot) as hot, pg_catalog.sum(d.estimated) as estimated, pg_catalog.sum(d.quality_kg) as quality_kg
    from clock c, public.emissions_by_day(c.today - 59, c.today, emissions_summary.entity, emissions_summary.event_type) d
    group by d.day
  ), windows as (
    select w.days, pg_catalog.jsonb_build_object(
      'days', w.days, 'from', c.today - w.days + 1, 'to', c.today,
      'kg', coalesce(pg_catalog.sum(d.kg) filter (where d.day > c.today - w.days), 0),
      'kg_ttw', coalesce(pg_catalog.sum(d.kg_ttw) filter (where d.day > c.today - w.days), 0),
      'kg_wtt', coalesce(pg_catalog.sum(d.kg_wtt) filter (where d.day > c.today - w.days), 0),
      'usual_kg', coalesce(pg_catalog.sum(d.kg - d.excess_kg) filter (where d.day > c.today - w.days), 0),
      'excess_kg', coalesce(pg_catalog.sum(d.excess_kg) filter (where d.day > c.today - w.days), 0),
      'events', coalesce(pg_catalog.sum(d.events) filter (where d.day > c.today - w.days), 0),
      'judged', coalesce(pg_catalog.sum(d.judged) filter (where d.day > c.today - w.days), 0),
      'hot', coalesce(pg_catalog.sum(d.hot) filter (where d.day > c.today - w.days), 0),
      'estimated', coalesce(pg_catalog.sum(d.estimated) filter (where d.day > c.today - w.days), 0),
      'quality', pg_catalog.round(pg_catalog.sum(d.quality_kg) filter (where d.day > c.today - w.days)
        / nullif(pg_catalog.sum(d.kg) filter (where d.day > c.today - w.days), 0), 2),
      'previous', pg_catalog.jsonb_build_object(
        'kg', coalesce(pg_catalog.sum(d.kg) filter (where d.day <= c.today - w.days), 0),
        'excess_kg', coalesce(pg_catalog.sum(d.excess_kg) filter (where d.day <= c.today - w.days), 0),
        'events', coalesce(pg_catalog.sum(d.events) filter (where d.day <= c.today - w.days), 0))) as figures
    from clock c cross join (values (1), (7), (30)) w(days)
    left join daily d on d.day > c.today - 2 * w.days
    group by w.days, c.today
  ), silences as materialized (
    select s.* from public.silences s
    where s.until > pg_catalog.clock_timestamp() and s.starts_at <= pg_catalog.clock_timestamp() and s.ended_at is null
  ), listed as materialized (
    select h.*, exists (
      select from silences s
      where (s.entity is null or s.entity = h.entity) and (s.event_type is null or s.event_type = h.event_type)
        and (s.severity is null or pg_catalog.array_position('{info,warn,critical}', h.severity)
          <= pg_catalog.array_position('{info,warn,critical}', s.severity))) as silenced
    from public.hotspots h where h.status = 'active'
      and (emissions_summary.entity is null or h.entity = emissions_summary.entity)
      and (emissions_summary.event_type is null or h.event_type = emissions_summary.event_type)
  )
  select pg_catalog.jsonb_build_object(
    'as_of', (select c.today from clock c),
    'windows', (select pg_catalog.jsonb_agg(w.figures order by w.days) from windows w),
    'by_day', (
      select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
        'day', s.day, 'kg', coalesce(d.kg, 0), 'excess_kg', coalesce(d.excess_kg, 0)) order by s.day)
      from clock c cross join lateral (select c.today - n as day from pg_catalog.generate_series(0, 29) n) s
      left join daily d on d.day = s.day where c.today is not null),
    'open', (
      select pg_catalog.jsonb_build_object(
        'total', pg_catalog.count(*), 'critical', pg_catalog.count(*) filter (where l.severity = 'critical'),
        'warn', pg_catalog.count(*) filter (where l.severity = 'warn'), 'info', pg_catalog.count(*) filter (where l.severity = 'info'),
        'silenced', pg_catalog.count(*) filter (where l.silenced),
        'excess_kg', pg_catalog.round(coalesce(pg_catalog.sum(l.excess_kg), 0)::numeric, 3), 'since', pg_catalog.min(l.occurred_at))
      from listed l),
    'worst', (
      select pg_catalog.jsonb_build_object('id', l.id, 'entity', l.entity, 'event_type', l.event_type, 'severity', l.severity,
        'percent_above', l.percent_above, 'excess_kg', l.excess_kg, 'reason', l.reason, 'occurred_at', l.occurred_at)
      from listed l where not l.silenced order by case l.severity when 'critical' then 0 when 'warn' then 1 else 2 end, l.excess_kg desc, l.id limit 1),
    'limits', (select w.limits from public.worker_heartbeats w where w.limits is not null order by w.seen_at desc limit 1))
$$;
comment on function public.emissions_summary(date, text, text) is
  'Totals of the last 1, 7 and 30 days with those of as many days before, each of the last 30 days, open hotspots by severity and how many of them are silenced, the worst one that is not, and the ratios that severities begin at (limits; null before a worker was there). The newest day may still be growing.';
revoke execute on function public.emissions_summary(date, text, text) from public, anon;
grant execute on function public.emissions_summary(date, text, text) to authenticated, service_role;
