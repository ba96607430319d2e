-- Totals without adding up every supplier: the excess of a day is stored in rollups where it was computed by the view at each reading,
-- and sums by day are kept beside them. A dashboard of 1,000 suppliers reads some hundred rows instead of 60,000.

alter table public.rollups add column excess_kg numeric not null default 0;
comment on column public.rollups.excess_kg is 'kg CO2e above what the same work usually costs: that of the period where a period hotspot covers the day, or where no activity is known; else that of the judged events.';

-- Volatile, so that it sees what was committed while its caller waited for the row.
create function public.excess_of(
  entity text, entity_type text, event_type text, method text, basis text, country text, day date, kg numeric, judged_excess_kg numeric
) returns numeric
language plpgsql set search_path = '' as $$
declare
  covers public.periods;
begin
  -- Periods of a series do not overlap: the first one that ends on this day or later is the only one that can hold it.
  select p.* into covers from public.periods p
  where p.entity = excess_of.entity and p.entity_type = excess_of.entity_type and p.event_type = excess_of.event_type
    and p.method = excess_of.method and p.basis = excess_of.basis and p.country = excess_of.country and p.until >= excess_of.day
  order by p.until limit 1;
  if covers.since <= day and (covers.hotspot or covers.basis = 'none') and covers.expected_kg is not null and covers.kg > 0 then
    return pg_catalog.round(kg * (1 - covers.expected_kg / covers.kg), 3);
  end if;
  return judged_excess_kg;
end $$;
comment on function public.excess_of(text, text, text, text, text, text, date, numeric, numeric) is 'Part of the triggers that keep up rollups.';
revoke execute on function public.excess_of(text, text, text, text, text, text, date, numeric, numeric)
  from public, anon, authenticated, service_role;

create table public.daily_totals (
  day date not null,
  event_type text not null,
  basis text not null,
  events bigint not null,
  hot bigint not null,
  estimated bigint not null,
  judged bigint not null,
  kg numeric not null,
  kg_ttw numeric not null,
  kg_wtt numeric not null,
  excess_kg numeric not null,
  activity numeric not null,
  activity_kg numeric not null,
  quality_kg numeric not null,
  primary key (day, event_type, basis)
) with (fillfactor = 50);
comment on table public.daily_totals is 'One row per (day, event type, basis): sums of rollups over all entities, to the gram. Kept up by a trigger on rollups. Policies that hide entities from a user have to hide this table as well.';
comment on column public.daily_totals.day is 'On the clock of WORKER_TIMEZONE.';
comment on column public.daily_totals.basis is 'What activity is measured in, as in rollups.';
comment on column public.daily_totals.quality_kg is 'Sum of dq * kg: by kg it is the mean quality of the data.';
alter table public.daily_totals enable row level security;
revoke all on public.daily_totals from anon, authenticated, service_role;
grant select on public.daily_totals to authenticated, service_role;
create policy "Signed-in users read totals" on public.daily_totals for select to authenticated using (true);

-- What is there already, before the triggers are.
update public.rollups r set excess_kg = public.excess_of(
  r.entity, r.entity_type, r.event_type, r.method, r.basis, r.country, r.day, r.kg, r.judged_kg - r.expected_kg);
insert into public.daily_totals (day, event_type, basis, events, hot, estimated, judged, kg, kg_ttw, kg_wtt, excess_kg, activity,
  activity_kg, quality_kg)
select r.day, r.event_type, r.basis, sum(r.events), sum(r.hot), sum(r.estimated), sum(r.judged), sum(r.kg), sum(r.kg_ttw), sum(r.kg_wtt),
  sum(r.excess_kg), sum(r.activity), sum(r.activity_kg), sum(r.dq * r.kg)
from public.rollups r group by 1, 2, 3;

-- A period that is judged, or judged anew, changes the excess of its days.
create function public.roll_up_periods() returns trigger
language plpgsql security definer set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
  execute pg_catalog.format($statement$
    update public.rollups r set excess_kg = x.excess_kg
    from (
      select d.*, public.excess_of(
        d.entity, d.entity_type, d.event_type, d.method, d.basis, d.country, d.day, d.kg, d.judged_kg - d.expected_kg) as excess_kg
      from (
        select distinct r.entity, r.entity_type, r.event_type, r.day, r.method, r.basis, r.country, r.dq, r.kg, r.judged_kg, r.expected_kg
        from (%s) c join public.rollups r on r.entity = c.entity and r.entity_type = c.entity_type and r.event_type = c.event_type
          and r.method = c.method and r.basis = c.basis and r.country = c.country and r.day between c.since and c.until
        where c.hotspot or c.basis = 'none') d) x
    where r.entity = x.entity and r.entity_type = x.entity_type and r.event_type = x.event_type and r.day = x.day and r.method = x.method
      and r.basis = x.basis and r.country = x.country and r.dq = x.dq and r.excess_kg <> x.excess_kg
    $statement$, case tg_op
    when 'INSERT' then 'select * from new_rows'
    when 'DELETE' then 'select * from old_rows'
    else 'select * from new_rows union all select * from old_rows' end);
  return null;
end $$;
revoke execute on function public.roll_up_periods() from public, anon, authenticated, service_role;
create trigger roll_up_inserted after insert on public.periods
referencing new table as new_rows for each statement execute function public.roll_up_periods();
create trigger roll_up_updated after update on public.periods
referencing old table as old_rows new table as new_rows for each statement execute function public.roll_up_periods();
create trigger roll_up_deleted after delete on public.periods
referencing old table as old_rows for each statement execute function public.roll_up_periods();

create function public.total_days() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  execute pg_catalog.format($statement$
    insert into public.daily_totals as t (day, event_type, basis, events, hot, estimated, judged, kg, kg_ttw, kg_wtt, excess_kg, activity,
      activity_kg, quality_kg)
    select day, event_type, basis, sum(sign * events), sum(sign * hot), sum(sign * estimated), sum(sign * judged), sum(sign * kg),
      sum(sign * kg_ttw), sum(sign * kg_wtt), sum(sign * excess_kg), sum(sign * activity), sum(sign * activity_kg), sum(sign * dq * kg)
    from (%s) changed group by 1, 2, 3 order by 1, 2, 3
    on conflict on constraint daily_totals_pkey do update set
      events = t.events + excluded.events, hot = t.hot + excluded.hot, estimated = t.estimated + excluded.estimated,
      judged = t.judged + excluded.judged, kg = t.kg + excluded.kg, kg_ttw = t.kg_ttw + excluded.kg_ttw,
      kg_wtt = t.kg_wtt + excluded.kg_wtt, excess_kg = t.excess_kg + excluded.excess_kg, activity = t.activity + excluded.activity,
      activity_kg = t.activity_kg + excluded.activity_kg, quality_kg = t.quality_kg + excluded.quality_kg
    $statement$, case tg_op
    when 'INSERT' then 'select 1 as sign, n.* from new_rows n'
    when 'DELETE' then 'select -1 as sign, o.* from old_rows o'
    else 'select 1 as sign, n.* from new_rows n union all select -1, o.* from old_rows o' end);
  if tg_op = 'DELETE' then
    delete from public.daily_totals t where t.events = 0 and t.day in (select o.day from old_rows o);
  end if;
  return null;
end $$;
revoke execute on function public.total_days() from public, anon, authenticated, service_role;
create trigger total_inserted after insert on public.rollups
referencing new table as new_rows for each statement execute function public.total_days();
create trigger total_updated after update on public.rollups
referencing old table as old_rows new table as new_rows for each statement execute function public.total_days();
create trigger total_deleted after delete on public.rollups
referencing old table as old_rows for each statement execute function public.total_days();

-- Without looking for periods.
create or replace view public.daily_emissions with (security_invoker = on) as
select r.entity, r.entity_type, r.event_type, r.day, r.method, r.basis, r.country, r.dq, r.events, r.hot, r.estimated, r.judged, r.kg,
  r.kg_ttw, r.kg_wtt, r.kg - r.excess_kg as usual_kg, r.excess_kg, r.activity, r.activity_kg, r.scope_1, r.scope_2, r.scope_3_1,
  r.scope_3_3, r.scope_3_4, r.scope_3_9,
  r.kg - r.scope_1 - r.scope_2 - r.scope_3_1 - r.scope_3_3 - r.scope_3_4 - r.scope_3_9 as unscoped
from public.rollups r;

create function public.emissions_by_day(since date, until date, entity text, event_type text)
returns table (day date, basis text, events bigint, hot bigint, estimated bigint, judged bigint, kg numeric, kg_ttw numeric,
  kg_wtt numeric, excess_kg numeric, activity numeric, activity_kg numeric, quality_kg numeric)
language plpgsql stable set search_path = '' as $$
#variable_conflict use_column
begin
  if emissions_by_day.entity is null then
    return query
      select t.day, t.basis, t.events, t.hot, t.estimated, t.judged, t.kg, t.kg_ttw, t.kg_wtt, t.excess_kg, t.activity, t.activity_kg,
        t.quality_kg
      from public.daily_totals t
      where t.day between since and until and (emissions_by_day.event_type is null or t.event_type = emissions_by_day.event_type);
  else
    return query
      select r.day, r.basis, r.events, r.hot, r.estimated, r.judged, r.kg, r.kg_ttw, r.kg_wtt, r.excess_kg, r.activity, r.activity_kg,
        r.dq * r.kg
      from public.rollups r
      where r.entity = emissions_by_day.entity and r.day between since and until
        and (emissions_by_day.event_type is null or r.event_type = emissions_by_day.event_type);
  end if;
end $$;
comment on function public.emissions_by_day(date, date, text, text) is
  'Part of emissions_summary and emissions_trend: what adds up to each day, of all entities from daily_totals, of one from its rollups.';
revoke execute on function public.emissions_by_day(date, date, text, text) from public, anon;
grant execute on function public.emissions_by_day(date, date, text, text) to authenticated, service_role;

create function public.emissions_trend(
  days int default 30, as_of date default null, entity text default null, event_type text default null
) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  today constant date := coalesce(as_of, (select pg_catalog.max(r.day) from public.rollups r));
  answer jsonb;
begin
  if days is null or days not between 1 and 3660 then
    raise sqlstate 'PT422' using message = 'days must be between 1 and 3660';
  end if;
  with found as materialized (
    select d.* from public.emissions_by_day(today - days + 1, today, emissions_trend.entity, emissions_trend.event_type) d
  ), daily as (
    select d.day, pg_catalog.sum(d.kg) as kg, pg_catalog.sum(d.kg_ttw) as kg_ttw, pg_catalog.sum(d.kg_wtt) as kg_wtt,
      pg_catalog.sum(d.excess_kg) as excess_kg, pg_catalog.sum(d.events) as events, pg_catalog.sum(d.hot) as hot,
      pg_catalog.sum(d.activity) as activity, pg_catalog.sum(d.activity_kg) as activity_kg
    from found d group by d.day
  ), bases as (
    select pg_catalog.min(d.basis) as basis from found d where d.basis <> 'none' having pg_catalog.count(distinct d.basis) = 1
  )
  select pg_catalog.jsonb_build_object(
    'as_of', today, 'from', today - days + 1, 'to', today, 'basis', (select b.basis from bases b),
    'days', coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
      'day', s.day, 'kg', coalesce(d.kg, 0), 'kg_ttw', coalesce(d.kg_ttw, 0), 'kg_wtt', coalesce(d.kg_wtt, 0),
      'usual_kg', coalesce(d.kg - d.excess_kg, 0), 'excess_kg', coalesce(d.excess_kg, 0), 'events', coalesce(d.events, 0),
      'hot', coalesce(d.hot, 0)) || case when exists (select from bases) then pg_catalog.jsonb_build_object(
        'activity', coalesce(d.activity, 0), 'intensity', pg_catalog.round(d.activity_kg / nullif(d.activity, 0), 9)) else '{}' end
      order by s.day), '[]'))
  into answer
  from (select today - n as day from pg_catalog.generate_series(0, days - 1) n where today is not null) s left join daily d on d.day = s.day;
  return answer;
end $$;
comment on function public.emissions_trend(int, date, text, text) is
  'Every one of the last days, of all, of an entity, or of a kind of work; activity and intensity (kg per unit of basis) where all of it has the same basis.';
revoke execute on function public.emissions_trend(int, date, text, text) from public, anon;
grant execute on function public.emissions_trend(int, date, text, text) to authenticated, service_role;
