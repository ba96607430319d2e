-- Advice: rules that are data, what the input is and usually is, and savings per event and per month.

create table public.advice_rules (
  id text primary key check (length(id) between 1 and 100),
  event_type text not null check (event_type in ('logistics', 'factory', 'warehouse', 'delivery')),
  driver text not null check (driver in ('distance', 'load', 'vehicle', 'fuel', 'energy', 'carbon')),
  series text check (series in ('event', 'period')),
  action text not null check (length(action) between 1 and 500),
  share double precision not null default 1 check (share > 0 and share <= 1),
  least_share double precision not null default 0.2 check (least_share between 0 and 1),
  least_ratio double precision not null default 1.02 check (least_ratio >= 1),
  least_month_kg double precision not null default 1 check (least_month_kg >= 0),
  source text not null default 'rules' check (length(source) between 1 and 100),
  enabled boolean not null default true,
  created_at timestamptz not null default now()
);
comment on table public.advice_rules is 'One row per action that is proposed when an input drives the excess of a hotspot. The worker reads them at each scan; add your own, with a source of your own.';
comment on column public.advice_rules.driver is 'The input: distance, load, vehicle (kg per km), fuel (per km), energy, carbon (kg per kWh).';
comment on column public.advice_rules.series is 'Only for hotspots of single events, or of periods; null: both.';
comment on column public.advice_rules.share is 'Part of what the usual value of the input would save that the action is good for. The shares of one input never count for more than 1 together, in the order of ids.';
comment on column public.advice_rules.least_share is 'Least part of the excess that the input has to explain.';
comment on column public.advice_rules.least_ratio is 'Least effect of the input on the kilograms against its usual value, 1.02 is 2 %.';
comment on column public.advice_rules.least_month_kg is 'Least saving in kg CO2e a month at the present rate.';
alter table public.advice_rules enable row level security;
revoke all on public.advice_rules from anon, authenticated, service_role;
grant select on public.advice_rules to authenticated;
grant select, insert, update, delete on public.advice_rules to service_role;
create policy "Signed-in users read the rules of advice" on public.advice_rules for select to authenticated using (true);

insert into public.advice_rules (id, event_type, driver, share, action) values
  ('delivery-distance-1', 'delivery', 'distance', 0.7, 'Re-plan the route and shift stops to neighbouring tours'),
  ('delivery-distance-2', 'delivery', 'distance', 0.3, 'Bundle parcels per address and offer pick-up points'),
  ('delivery-fuel-1', 'delivery', 'fuel', 1, 'Check the vehicles concerned and switch engines off at stops'),
  ('delivery-load-1', 'delivery', 'load', 1, 'Consolidate tours until vehicles leave as full as usual'),
  ('delivery-vehicle-1', 'delivery', 'vehicle', 1, 'Use the vehicle that usually runs these tours'),
  ('factory-carbon-1', 'factory', 'carbon', 1, 'Check why more of the energy came from fuels'),
  ('factory-energy-1', 'factory', 'energy', 0.6, 'Look for machines that idle, and for leaks of compressed air'),
  ('factory-energy-2', 'factory', 'energy', 0.4, 'Shut auxiliary systems down between orders'),
  ('logistics-distance-1', 'logistics', 'distance', 0.7, 'Compare the driven route with the planned one and re-plan it'),
  ('logistics-distance-2', 'logistics', 'distance', 0.3, 'Serve these orders from the nearest depot'),
  ('logistics-fuel-1', 'logistics', 'fuel', 0.6, 'Check tyres, engine and idling of the vehicles concerned'),
  ('logistics-fuel-2', 'logistics', 'fuel', 0.4, 'Train drivers in steady, anticipating driving'),
  ('logistics-load-1', 'logistics', 'load', 0.7, 'Consolidate consignments until vehicles leave as full as usual'),
  ('logistics-load-2', 'logistics', 'load', 0.3, 'Use a vehicle that is sized for the load'),
  ('logistics-vehicle-1', 'logistics', 'vehicle', 1, 'Use the vehicle class that usually runs this work'),
  ('warehouse-carbon-1', 'warehouse', 'carbon', 1, 'Check why more of the energy came from fuels'),
  ('warehouse-energy-1', 'warehouse', 'energy', 0.6, 'Check heating, ventilation, cooling and lighting schedules'),
  ('warehouse-energy-2', 'warehouse', 'energy', 0.4, 'Seal dock doors and improve insulation');

alter table public.recommendations
  add column rule text,
  add column driver text,
  add column actual double precision,
  add column usual double precision,
  add column unit text,
  add column co2_reduction_month double precision;
comment on column public.recommendations.co2_reduction is 'kg CO2e that it can save of the event, or period, that the hotspot shows.';
comment on column public.recommendations.rule is 'The row of advice_rules; null where another service proposed it.';
comment on column public.recommendations.driver is 'The input that it is about.';
comment on column public.recommendations.actual is 'Value of that input, in unit.';
comment on column public.recommendations.usual is 'What it usually is for this entity, in unit.';
comment on column public.recommendations.co2_reduction_month is 'kg CO2e that it can save in 30 days at the present rate; null where that is not known.';
create unique index recommendations_rule on public.recommendations (hotspot_id, source, rule) where rule is not null;

-- What a person decided on stays as it was decided.
create function public.write_advice(refs jsonb, advised jsonb, advice jsonb) returns void
language sql set search_path = '' as $$
  delete from public.recommendations old
  where old.status = 'pending' and old.rule is not null
    and old.hotspot_id in (select (refs ->> e.ref)::bigint from pg_catalog.jsonb_array_elements_text(advised) as e(ref))
    and not exists (select from pg_catalog.jsonb_array_elements(advice) as a(part)
      where (refs ->> (a.part ->> 'ref'))::bigint = old.hotspot_id and a.part ->> 'source' = old.source and a.part ->> 'rule' = old.rule);
  insert into public.recommendations as old (hotspot_id, action, co2_reduction, root_cause, source, rule, driver, actual, usual, unit,
    co2_reduction_month)
  select (refs ->> (a.part ->> 'ref'))::bigint, r.action, r.co2_reduction, r.root_cause, r.source, r.rule, r.driver, r.actual, r.usual,
    r.unit, r.co2_reduction_month
  from pg_catalog.jsonb_array_elements(advice) with ordinality as a(part, n),
    lateral pg_catalog.jsonb_populate_record(null::public.recommendations, a.part) r
  order by a.n
  on conflict (hotspot_id, source, rule) where rule is not null do update set
    action = excluded.action, co2_reduction = excluded.co2_reduction, root_cause = excluded.root_cause, driver = excluded.driver,
    actual = excluded.actual, usual = excluded.usual, unit = excluded.unit, co2_reduction_month = excluded.co2_reduction_month
  where old.status = 'pending'
$$;
comment on function public.write_advice(jsonb, jsonb, jsonb) is
  'Part of write_findings: proposes actions for hotspots whose figures changed, brings pending ones up to date, and drops those of rules that do not apply any more.';
revoke execute on function public.write_advice(jsonb, jsonb, jsonb) from public, anon, authenticated, service_role;
grant execute on function public.write_advice(jsonb, jsonb, jsonb) to service_role;

-- As before; recommendations are written by write_advice.
create or replace function public.write_findings(findings jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  nothing constant jsonb := '{"anew": [], "keys": [], "detectors": [], "inputs": [], "heard": [], "replayed": [], "notices": [], "rebuilds": [], "episodes": [], "alerts": [], "advised": [], "recommendations": [], "now": null, "cooldown_seconds": 0}';
  result constant jsonb := nothing || findings;
  refs jsonb;
  counts jsonb;
  proposed record;
  expected int;
  changed int;
  told int := 0;
begin
  perform pg_catalog.set_config('hotspots.by_engine', 'on', true);
  -- A word that was taken back since it was read must not count.
  update public.detector_inputs i set applied = true
  from pg_catalog.jsonb_array_elements_text(result -> 'heard') h where i.id = h::bigint;
  get diagnostics changed = row_count;
  perform from public.detector_inputs i
  where i.id in (select r::bigint from pg_catalog.jsonb_array_elements_text(result -> 'replayed') r) for key share;
  get diagnostics expected = row_count;
  changed := changed + expected;
  expected := pg_catalog.jsonb_array_length(result -> 'heard') + pg_catalog.jsonb_array_length(result -> 'replayed');
  if changed <> expected then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('%s of %s words were taken back since they were read', expected - changed, expected), hint = 'episode';
  end if;
  delete from public.detectors d
  using pg_catalog.jsonb_to_recordset(result -> 'anew') as k(entity text, entity_type text, event_type text)
  where d.entity = k.entity and d.entity_type = k.entity_type and d.event_type = k.event_type;
  insert into public.detectors as old (entity, entity_type, event_type, series, method, basis, country, learned, usual, spread, newest_at, state)
  select d.entity, d.entity_type, d.event_type, d.series, d.method, d.basis, d.country, d.learned, d.usual, d.spread, d.newest_at, d.state
  from pg_catalog.jsonb_to_recordset(result -> 'detectors') as d(entity text, entity_type text, event_type text, series text, method text,
    basis text, country text, learned int, usual double precision, spread double precision, newest_at timestamptz, state jsonb)
  on conflict on constraint detectors_pkey do update set
    learned = excluded.learned, usual = excluded.usual, spread = excluded.spread, newest_at = excluded.newest_at,
    state = excluded.state, updated_at = pg_catalog.clock_timestamp();
  insert into public.detector_keys as old (entity, entity_type, event_type, newest_at, due_at, late, state)
  select k.entity, k.entity_type, k.event_type, k.newest_at, k.due_at, k.late, k.state
  from pg_catalog.jsonb_to_recordset(result -> 'keys') as k(entity text, entity_type text, event_type text, newest_at timestamptz,
    due_at timestamptz, late int, state jsonb)
  on conflict on constraint detector_keys_pkey do update set
    newest_at = excluded.newest_at, due_at = excluded.due_at, late = excluded.late, state = excluded.state;
  insert into public.detector_inputs (entity, entity_type, event_type, kind, at, after_event, applied)
  select i.entity, i.entity_type, i.event_type, 'silence', i.at, (
    select pg_catalog.max(p.event_id) from public.predictions p
    where p.entity = i.entity and p.entity_type = i.entity_type and p.event_type = i.event_type), true
  from pg_catalog.jsonb_to_recordset(result -> 'inputs') as i(entity text, entity_type text, event_type text, at timestamptz);
  insert into public.notices (entity, entity_type, event_type, kind, message, event_id, occurred_at)
  select n.entity, n.entity_type, n.event_type, n.kind, pg_catalog.left(n.message, 1000), n.event_id, n.occurred_at
  from pg_catalog.jsonb_to_recordset(result -> 'notices') as n(entity text, entity_type text, event_type text, kind text, message text,
    event_id bigint, occurred_at timestamptz);
  perform public.request_rebuild(r.entity, r.entity_type, r.event_type, r.reason)
  from pg_catalog.jsonb_to_recordset(result -> 'rebuilds') as r(entity text, entity_type text, event_type text, reason text);

  -- In the order in which people's decisions lock them.
  perform from public.hotspots h
  where h.id in (select (e ->> 'id')::bigint from pg_catalog.jsonb_array_elements(result -> 'episodes') e) order by h.id for update;
  -- Known episodes first: one that resolves makes room for the one that opens after it.
  update public.hotspots h set
    predicted_co2 = e.predicted_co2, baseline_co2 = e.baseline_co2, percent_above = e.percent_above, severity = e.severity,
    peak_severity = coalesce(e.peak_severity, e.severity), status = e.status, event_id = e.event_id, phase = e.phase, series = e.series,
    rule = e.rule, excess_kg = e.excess_kg, reason = pg_catalog.left(e.reason, 1000), occurred_at = e.occurred_at,
    last_seen_at = e.last_seen_at, drivers = e.drivers, announced = e.announced, resolution = e.resolution,
    resolved_at = case when e.status = 'resolved' then pg_catalog.clock_timestamp() else h.resolved_at end
  from pg_catalog.jsonb_populate_recordset(null::public.hotspots, result -> 'episodes') e
  where h.id = e.id and h.version = e.version and h.status = 'active';
  get diagnostics changed = row_count;
  expected := (select pg_catalog.count(*) from pg_catalog.jsonb_array_elements(result -> 'episodes') e where e ->> 'id' is not null);
  if changed <> expected then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('%s of %s episodes changed since they were read', expected - changed, expected), hint = 'episode';
  end if;
  -- Ids of new episodes are drawn first, so that alerts and recommendations find theirs by ref.
  select coalesce(pg_catalog.jsonb_object_agg(
    e.ref, coalesce(e.id, pg_catalog.nextval(pg_catalog.pg_get_serial_sequence('public.hotspots', 'id')))), '{}')
  into refs from (
    select * from pg_catalog.jsonb_to_recordset(result -> 'episodes') as e(ref int, id bigint) order by ref) e;
  insert into public.hotspots (id, entity, entity_type, event_type, predicted_co2, baseline_co2, percent_above, severity, peak_severity,
    status, event_id, phase, series, rule, excess_kg, reason, occurred_at, last_seen_at, drivers, announced, resolution, resolved_at)
  overriding system value
  select (refs ->> (e.part ->> 'ref'))::bigint, r.entity, r.entity_type, r.event_type, r.predicted_co2, r.baseline_co2, r.percent_above,
    r.severity, coalesce(r.peak_severity, r.severity), r.status, r.event_id, r.phase, r.series, r.rule, r.excess_kg,
    pg_catalog.left(r.reason, 1000), r.occurred_at, r.last_seen_at, r.drivers, r.announced, r.resolution,
    case when r.status = 'resolved' then pg_catalog.clock_timestamp() end
  from pg_catalog.jsonb_array_elements(result -> 'episodes') as e(part),
    lateral pg_catalog.jsonb_populate_record(null::public.hotspots, e.part) r
  where e.part ->> 'id' is null
  on conflict (entity, entity_type, event_type) where status = 'active' do nothing;
  get diagnostics changed = row_count;
  expected := pg_catalog.jsonb_array_length(result -> 'episodes') - expected;
  if changed <> expected then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('%s of %s new episodes are open already', expected - changed, expected), hint = 'episode';
  end if;
  update public.hotspots h set previous_id = (
    select pg_catalog.max(f.id) from public.hotspots f
    where f.entity = h.entity and f.event_type = h.event_type and f.entity_type = h.entity_type and f.id < h.id)
  from pg_catalog.jsonb_to_recordset(result -> 'episodes') as e(ref int, id bigint, reopens boolean)
  where e.id is null and e.reopens and h.id = (refs ->> e.ref::text)::bigint;

  for proposed in
    select (refs ->> a.ref::text)::bigint as hotspot, a.* from pg_catalog.jsonb_array_elements(result -> 'alerts') with ordinality as e(part, n),
      lateral pg_catalog.jsonb_to_record(e.part) as a(ref int, kind text, level text, message text, reason text, occurred_at timestamptz)
    order by e.n
  loop
    if public.write_alert(proposed.hotspot, proposed.kind, proposed.level, proposed.message, coalesce(proposed.reason, ''),
      coalesce(proposed.occurred_at, pg_catalog.clock_timestamp()), (result ->> 'now')::timestamptz,
      (result ->> 'cooldown_seconds')::double precision)
    then
      told := told + 1;
    end if;
  end loop;
  perform public.write_advice(refs, result -> 'advised', result -> 'recommendations');

  select pg_catalog.jsonb_build_object(
    'opened', pg_catalog.count(*) filter (where e ->> 'id' is null),
    'updated', pg_catalog.count(*) filter (where e ->> 'id' is not null),
    'resolved', pg_catalog.count(*) filter (where e ->> 'status' = 'resolved'),
    'alerts', told,
    'notices', pg_catalog.jsonb_array_length(result -> 'notices'),
    'rebuilds', pg_catalog.jsonb_array_length(result -> 'rebuilds'),
    'recommendations', pg_catalog.jsonb_array_length(result -> 'recommendations'))
  into counts from pg_catalog.jsonb_array_elements(result -> 'episodes') e;
  return counts;
end $$;
