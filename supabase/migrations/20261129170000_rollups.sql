-- The whole: what was emitted by day and what the same work usually costs, kept up with every prediction. Events go with retention,
-- this stays.

-- What a prediction is compared with and when its event was, so that neither needs the event.
alter table public.predictions
  add column occurred_at timestamptz,
  add column day date,
  add column expected_kg double precision,
  add column spread real,
  add column superseded_at timestamptz;
comment on column public.predictions.occurred_at is 'Event time.';
comment on column public.predictions.day is 'Day of the event on the clock of WORKER_TIMEZONE.';
comment on column public.predictions.expected_kg is 'kg CO2e that this job usually costs this entity; null where there was nothing to compare with.';
comment on column public.predictions.spread is 'Usual scatter of that, as a share.';
comment on column public.predictions.superseded_at is 'Since when a prediction of another factor set, or a quarantine, stands in its place; null: it is the one that counts.';

update public.predictions p set occurred_at = e."timestamp", day = (e."timestamp" at time zone 'UTC')::date
from public.events_normalized e where e.id = p.event_id;
update public.predictions p set superseded_at = pg_catalog.clock_timestamp()
where exists (
  select from public.predictions o
  where o.event_id = p.event_id and (o.created_at, o.factor_set) > (p.created_at, p.factor_set));
-- Those that count are counted below, by the triggers.
update public.predictions p set superseded_at = 'infinity' where p.superseded_at is null;
create index predictions_of_key on public.predictions (entity, event_type, occurred_at);
-- Not the inputs and factors: they may say more of a supplier than its kilograms do.
grant select (event_id, entity, entity_type, event_type, occurred_at, day, predicted_co2, kg_ttw, kg_wtt, method, factor_set, grid_country,
  activity, activity_basis, dq, estimated, flags, hotspot, expected_kg, spread, superseded_at) on public.predictions to authenticated;
create policy "Signed-in users read kilograms" on public.predictions for select to authenticated using (true);

create function public.date_prediction() returns trigger
language plpgsql set search_path = '' as $$
begin
  select coalesce(new.occurred_at, e."timestamp"), coalesce(new.day, (e."timestamp" at time zone 'UTC')::date)
  into new.occurred_at, new.day from public.events_normalized e where e.id = new.event_id;
  return new;
end $$;
revoke execute on function public.date_prediction() from public, anon, authenticated, service_role;
create trigger date_prediction before insert on public.predictions for each row
when (new.day is null or new.occurred_at is null) execute function public.date_prediction();

create table public.rollups (
  entity text not null,
  entity_type text not null,
  event_type text not null,
  day date not null,
  method text not null,
  basis text not null,
  country text not null,
  dq smallint not null,
  events bigint not null,
  hot bigint not null,
  estimated bigint not null,
  judged bigint not null,
  kg numeric not null,
  kg_ttw numeric not null,
  kg_wtt numeric not null,
  judged_kg numeric not null,
  expected_kg numeric not null,
  activity numeric not null,
  activity_kg numeric not null,
  scope_1 numeric not null,
  scope_2 numeric not null,
  scope_3_1 numeric not null,
  scope_3_3 numeric not null,
  scope_3_4 numeric not null,
  scope_3_9 numeric not null,
  primary key (entity, entity_type, event_type, day, method, basis, country, dq)
) with (fillfactor = 70);
comment on table public.rollups is 'One row per (entity, event type, day) and way to find the kilograms: sums of the predictions that count, to the gram. Kept up by a trigger on predictions; retention leaves it.';
comment on column public.rollups.day is 'On the clock of WORKER_TIMEZONE.';
comment on column public.rollups.method is 'As in predictions; unknown where nothing is said.';
comment on column public.rollups.basis is 'What activity is measured in, as in predictions.';
comment on column public.rollups.country is 'Of the electricity grid, empty where none matters.';
comment on column public.rollups.dq is 'Quality of the data, 1 (metered) to 5 (proxy); 0 where nothing is said.';
comment on column public.rollups.hot is 'Events that are hot.';
comment on column public.rollups.estimated is 'Events of which something was assumed.';
comment on column public.rollups.judged is 'Events that were compared with what is usual.';
comment on column public.rollups.kg is 'kg CO2e, well to wheel.';
comment on column public.rollups.judged_kg is 'kg CO2e of the events that were judged.';
comment on column public.rollups.expected_kg is 'kg CO2e that the judged events usually cost.';
comment on column public.rollups.activity is 'In the unit of basis.';
comment on column public.rollups.activity_kg is 'kg CO2e of the events whose activity is known: by activity it is the intensity.';
comment on column public.rollups.scope_1 is 'kg CO2e by scope of the GHG Protocol, rounded event by event; what is missing to kg is not divided.';
create index rollups_day on public.rollups (day);
alter table public.rollups enable row level security;
revoke all on public.rollups from anon, authenticated, service_role;
grant select on public.rollups to authenticated, service_role;
create policy "Signed-in users read rollups" on public.rollups for select to authenticated using (true);

create table public.periods (
  entity text not null,
  entity_type text not null,
  event_type text not null,
  method text not null,
  basis text not null,
  country text not null,
  since date not null,
  until date not null,
  events int not null,
  event_id bigint,
  kg numeric not null,
  activity double precision,
  expected_kg numeric,
  spread real,
  hotspot boolean not null,
  primary key (entity, entity_type, event_type, method, basis, country, until)
);
comment on table public.periods is 'One row per period that was judged as a whole: the observations of the period series. Written by the worker; retention leaves it.';
comment on column public.periods.event_id is 'The event with the largest excess.';
comment on column public.periods.expected_kg is 'kg CO2e that this activity usually costs; null while the series was warming.';
comment on column public.periods.spread is 'Usual scatter of that, as a share.';
comment on column public.periods.hotspot is 'It is part of a hotspot.';
create index periods_until on public.periods (until) where hotspot or basis = 'none';
alter table public.periods enable row level security;
revoke all on public.periods from anon, authenticated, service_role;
grant select on public.periods to authenticated;
grant select, insert, update, delete on public.periods to service_role;
create policy "Signed-in users read periods" on public.periods for select to authenticated using (true);

-- One statement for a whole batch. The text is put together since the three kinds of statements differ in the rows that they see.
-- Definer: whoever writes predictions may not write rollups.
create function public.roll_up() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'DELETE' then
    if coalesce(pg_catalog.current_setting('hotspots.pruning', true), '') = 'on' or not exists (select from old_rows) then
      return null;
    end if;
  elsif not exists (select from new_rows) then
    return null;
  else
    update public.predictions o set superseded_at = pg_catalog.clock_timestamp() from new_rows n
    where o.event_id = n.event_id and o.factor_set <> n.factor_set and o.superseded_at is null and n.superseded_at is null;
  end if;
  execute pg_catalog.format($statement$
    insert into public.rollups as r (entity, entity_type, event_type, day, method, basis, country, dq, events, hot, estimated, judged, kg,
      kg_ttw, kg_wtt, judged_kg, expected_kg, activity, activity_kg, scope_1, scope_2, scope_3_1, scope_3_3, scope_3_4, scope_3_9)
    select entity, entity_type, event_type, day, coalesce(method, 'unknown'), coalesce(activity_basis, 'none'), coalesce(grid_country, ''),
      coalesce(dq, 0), sum(sign), coalesce(sum(sign) filter (where hotspot), 0), coalesce(sum(sign) filter (where estimated), 0),
      coalesce(sum(sign) filter (where expected_kg is not null), 0), sum(sign * kg),
      coalesce(sum(sign * round(kg_ttw::numeric, 3)), 0), coalesce(sum(sign * round(kg_wtt::numeric, 3)), 0),
      coalesce(sum(sign * kg) filter (where expected_kg is not null), 0), coalesce(sum(sign * round(expected_kg::numeric, 3)), 0),
      coalesce(sum(sign * round(activity::numeric, 6)), 0), coalesce(sum(sign * kg) filter (where activity is not null), 0),
      coalesce(sum(sign * round((scopes ->> '1')::numeric, 3)), 0), coalesce(sum(sign * round((scopes ->> '2')::numeric, 3)), 0),
      coalesce(sum(sign * round((scopes ->> '3.1')::numeric, 3)), 0), coalesce(sum(sign * round((scopes ->> '3.3')::numeric, 3)), 0),
      coalesce(sum(sign * round((scopes ->> '3.4')::numeric, 3)), 0), coalesce(sum(sign * round((scopes ->> '3.9')::numeric, 3)), 0)
    from (select c.*, round(c.predicted_co2::numeric, 3) as kg from (%s) c where c.superseded_at is null and c.day is not null) changed
    group by 1, 2, 3, 4, 5, 6, 7, 8 order by 1, 2, 3, 4, 5, 6, 7, 8
    on conflict on constraint rollups_pkey do update set
      events = r.events + excluded.events, hot = r.hot + excluded.hot, estimated = r.estimated + excluded.estimated,
      judged = r.judged + excluded.judged, kg = r.kg + excluded.kg, kg_ttw = r.kg_ttw + excluded.kg_ttw,
      kg_wtt = r.kg_wtt + excluded.kg_wtt, judged_kg = r.judged_kg + excluded.judged_kg,
      expected_kg = r.expected_kg + excluded.expected_kg, activity = r.activity + excluded.activity,
      activity_kg = r.activity_kg + excluded.activity_kg, scope_1 = r.scope_1 + excluded.scope_1,
      scope_2 = r.scope_2 + excluded.scope_2, scope_3_1 = r.scope_3_1 + excluded.scope_3_1,
      scope_3_3 = r.scope_3_3 + excluded.scope_3_3, scope_3_4 = r.scope_3_4 + excluded.scope_3_4,
      scope_3_9 = r.scope_3_9 + excluded.scope_3_9
    $statement$, case tg_op
    when 'INSERT' then 'select 1 as sign, n.* from new_rows n'
    when 'DELETE' then 'select -1 as sign, o.* from old_rows o'
    else 'select 1 as sign, n.* from new_rows n union all select -1, o.* from old_rows o' end);
  if tg_op <> 'INSERT' then
    delete from public.rollups r where r.events = 0 and (r.entity, r.day) in (select o.entity, o.day from old_rows o);
  end if;
  return null;
end $$;
revoke execute on function public.roll_up() from public, anon, authenticated, service_role;
create trigger roll_up_inserted after insert on public.predictions
referencing new table as new_rows for each statement execute function public.roll_up();
create trigger roll_up_updated after update on public.predictions
referencing old table as old_rows new table as new_rows for each statement execute function public.roll_up();
create trigger roll_up_deleted after delete on public.predictions
referencing old table as old_rows for each statement execute function public.roll_up();

-- What is there already.
update public.predictions p set superseded_at = null where p.superseded_at = 'infinity';

create function public.write_predictions(predictions jsonb) returns void
language sql set search_path = '' as $$
  insert into public.predictions as old (event_id, model_version, factor_set, factors_sha256, entity, entity_type, event_type, predicted_co2,
    kg_ttw, kg_wtt, kg_model, kg_biogenic, scopes, method, factor_ids, grid_country, grid_year, grid_basis, vehicle_class, kg_per_km,
    activity, activity_basis, inputs, flags, dq, estimated, in_range, hotspot,
    occurred_at, day, expected_kg, spread)
  select p.event_id, p.model_version, coalesce(p.factor_set, p.model_version), p.factors_sha256, p.entity, p.entity_type, p.event_type,
    p.predicted_co2, p.kg_ttw, p.kg_wtt, p.kg_model, p.kg_biogenic, p.scopes, p.method, coalesce(p.factor_ids, '{}'), p.grid_country,
    p.grid_year, p.grid_basis, p.vehicle_class, p.kg_per_km, p.activity, p.activity_basis, coalesce(p.inputs, '{}'), coalesce(p.flags, '{}'), p.dq,
    p.estimated, p.in_range, p.hotspot, p.occurred_at, p.day, p.expected_kg, p.spread
  from pg_catalog.jsonb_populate_recordset(null::public.predictions, predictions) p
  on conflict on constraint predictions_pkey do update set
    model_version = excluded.model_version, factors_sha256 = excluded.factors_sha256, predicted_co2 = excluded.predicted_co2,
    kg_ttw = excluded.kg_ttw, kg_wtt = excluded.kg_wtt, kg_model = excluded.kg_model, kg_biogenic = excluded.kg_biogenic,
    scopes = excluded.scopes, method = excluded.method, factor_ids = excluded.factor_ids, grid_country = excluded.grid_country,
    grid_year = excluded.grid_year, grid_basis = excluded.grid_basis, vehicle_class = excluded.vehicle_class, kg_per_km = excluded.kg_per_km,
    activity = excluded.activity, activity_basis = excluded.activity_basis, inputs = excluded.inputs, flags = excluded.flags,
    dq = excluded.dq, estimated = excluded.estimated, in_range = excluded.in_range, hotspot = excluded.hotspot,
    occurred_at = coalesce(excluded.occurred_at, old.occurred_at), day = coalesce(excluded.day, old.day),
    expected_kg = excluded.expected_kg, spread = excluded.spread, superseded_at = null;
$$;
comment on function public.write_predictions(jsonb) is 'Part of commit_batch.';
revoke execute on function public.write_predictions(jsonb) from public, anon, authenticated, service_role;
grant execute on function public.write_predictions(jsonb) to service_role;

create function public.write_periods(periods jsonb) returns void
language sql set search_path = '' as $$
  insert into public.periods (entity, entity_type, event_type, method, basis, country, since, until, events, event_id, kg, activity,
    expected_kg, spread, hotspot)
  select p.entity, p.entity_type, p.event_type, p.method, p.basis, p.country, p.since, p.until, p.events, p.event_id, p.kg, p.activity,
    p.expected_kg, p.spread, p.hotspot
  from pg_catalog.jsonb_populate_recordset(null::public.periods, periods) p
  on conflict on constraint periods_pkey do update set
    since = excluded.since, events = excluded.events, event_id = excluded.event_id, kg = excluded.kg, activity = excluded.activity,
    expected_kg = excluded.expected_kg, spread = excluded.spread, hotspot = excluded.hotspot
$$;
comment on function public.write_periods(jsonb) is 'Part of commit_batch and commit_pass.';
revoke execute on function public.write_periods(jsonb) from public, anon, authenticated, service_role;
grant execute on function public.write_periods(jsonb) to service_role;

create function public.forget_periods(keys jsonb) returns void
language sql set search_path = '' as $$
  delete from public.periods p
  using pg_catalog.jsonb_to_recordset(keys) as k(entity text, entity_type text, event_type text)
  where p.entity = k.entity and p.entity_type = k.entity_type and p.event_type = k.event_type and p.until >= (
    select o.day from public.predictions o
    where o.entity = k.entity and o.event_type = k.event_type and o.occurred_at is not null order by o.occurred_at limit 1)
$$;
comment on function public.forget_periods(jsonb) is
  'Part of commit_pass: what was judged of the days whose events are held is judged anew, what is older stays.';
revoke execute on function public.forget_periods(jsonb) from public, anon, authenticated, service_role;
grant execute on function public.forget_periods(jsonb) to service_role;

create function public.store_expectations(holder uuid, token bigint, lease_seconds int, expectations jsonb) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '30s' as $$
declare
  stored int;
begin
  perform public.hold_lease(holder, token);
  update public.leases l set until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_seconds) where l.name = 'scan';
  update public.predictions p set day = e.day, expected_kg = e.expected_kg, spread = e.spread
  from pg_catalog.jsonb_to_recordset(expectations) as e(event_id bigint, day date, expected_kg double precision, spread real)
  where p.event_id = e.event_id and p.superseded_at is null
    and (p.day, p.expected_kg, p.spread) is distinct from (e.day, e.expected_kg, e.spread);
  get diagnostics stored = row_count;
  return pg_catalog.jsonb_build_object('stored', stored);
end $$;
comment on function public.store_expectations(uuid, bigint, int, jsonb) is
  'Stores what events usually cost when their past is folded anew, a page at a time, and renews the lease; the number of those that differ.';
revoke execute on function public.store_expectations(uuid, bigint, int, jsonb) from public, anon, authenticated, service_role;
grant execute on function public.store_expectations(uuid, bigint, int, jsonb) to service_role;

-- What events of before usually cost is known when their past has been folded anew.
select public.request_rebuilds(null, 'usual kilograms of each event');

-- Of a day that a period hotspot covers, the excess is that of the period, which holds that of its events. Without any activity it is
-- always that of the period. What was compared with nothing has no excess.
create view public.daily_emissions with (security_invoker = on) as
select r.entity, r.entity_type, r.event_type, r.day, r.method, r.basis, r.country, r.dq, r.events, r.hot, r.estimated, r.judged, r.kg,
  r.kg_ttw, r.kg_wtt, r.kg - x.excess_kg as usual_kg, x.excess_kg, r.activity, r.activity_kg, r.scope_1, r.scope_2, r.scope_3_1,
  r.scope_3_3, r.scope_3_4, r.scope_3_9,
  r.kg - r.scope_1 - r.scope_2 - r.scope_3_1 - r.scope_3_3 - r.scope_3_4 - r.scope_3_9 as unscoped
from public.rollups r
left join public.periods p on p.entity = r.entity and p.entity_type = r.entity_type and p.event_type = r.event_type
  and p.method = r.method and p.basis = r.basis and p.country = r.country and r.day between p.since and p.until
  and (p.hotspot or p.basis = 'none') and p.expected_kg is not null and p.kg > 0
cross join lateral (select case when p.kg is null then r.judged_kg - r.expected_kg
  else pg_catalog.round(r.kg * (1 - p.expected_kg / p.kg), 3) end as excess_kg) x;
comment on view public.daily_emissions is
  'Rollups with what the same work usually costs: kg = usual_kg + excess_kg. kg CO2e; unscoped is what is not divided into scopes.';
revoke all on public.daily_emissions from anon, authenticated, service_role;
grant select on public.daily_emissions to authenticated, service_role;

-- Plans of triggers are made once, when a young table has no statistics: looking each event's former predictions up by the index is the
-- only way whose cost does not grow with the table.
alter function public.roll_up() set enable_seqscan = off;
alter function public.roll_up() set enable_hashjoin = off;
alter function public.roll_up() set enable_mergejoin = off;
