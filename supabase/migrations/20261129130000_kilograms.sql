-- What an event may say about its work, what is fixed for a supplier, which events are implausible, and where the kilograms of a
-- prediction come from.

-- Measured fuel and energy, what was asked for and produced, and what decides the emission factor. Units are in the names.
alter table public.events_normalized
  add column vehicle_class text constraint vehicle_class_length check (length(vehicle_class) <= 100),
  add column vehicle_capacity_kg double precision,
  add column temperature_control text constraint temperature_control_length check (length(temperature_control) <= 100),
  add column shared_vehicle boolean,
  add column empty_km double precision,
  add column sfd_km double precision,
  add column gcd_km double precision,
  add column planned_distance_km double precision,
  add column fuel_litres double precision,
  add column fuel_kg double precision,
  add column natural_gas_kwh double precision,
  add column heat_kwh double precision,
  add column furnace_unit text constraint furnace_unit_length check (length(furnace_unit) <= 100),
  add column co2e_kg double precision,
  add column co2e_boundary text constraint co2e_boundary_length check (length(co2e_boundary) <= 100),
  add column co2e_method text constraint co2e_method_length check (length(co2e_method) <= 200),
  add column country text constraint country_length check (length(country) <= 100),
  add column operated_by text constraint operated_by_length check (length(operated_by) <= 100),
  add column throughput_t double precision,
  add column pallets double precision,
  add column output_quantity double precision,
  add column output_unit text constraint output_unit_length check (length(output_unit) <= 100);
comment on column public.events_normalized.vehicle_class is 'Class of the emission factor, e.g. rigid_7_5, artic_over_33, van_III.';
comment on column public.events_normalized.vehicle_capacity_kg is 'Payload; it replaces that of the class.';
comment on column public.events_normalized.temperature_control is 'ambient or refrigerated';
comment on column public.events_normalized.shared_vehicle is 'The load shared the vehicle with others: computed by tonne-kilometre.';
comment on column public.events_normalized.empty_km is 'Kilometres driven empty for this job, beside distance_km.';
comment on column public.events_normalized.sfd_km is 'Shortest feasible distance from origin to destination.';
comment on column public.events_normalized.gcd_km is 'Great-circle distance from origin to destination.';
comment on column public.events_normalized.planned_distance_km is 'Distance of the plan, what distance_km is compared with.';
comment on column public.events_normalized.fuel_litres is 'Measured fuel of fuel_type.';
comment on column public.events_normalized.fuel_kg is 'Measured fuel of fuel_type.';
comment on column public.events_normalized.natural_gas_kwh is 'Measured gas, gross calorific value.';
comment on column public.events_normalized.heat_kwh is 'Purchased heat or steam.';
comment on column public.events_normalized.furnace_unit is 'Unit of furnace_usage: litre/h or kWh. Without it furnace_usage is not converted to kilograms.';
comment on column public.events_normalized.co2e_kg is 'kg CO2e as the source states them; co2e_boundary and co2e_method say what they are.';
comment on column public.events_normalized.co2e_boundary is 'wtw (with the supply of the energy) or ttw (without).';
comment on column public.events_normalized.co2e_method is 'How co2e_kg were found, e.g. a standard or a calculator.';
comment on column public.events_normalized.country is 'Country of the electricity grid, ISO 3166 alpha-2 or alpha-3.';
comment on column public.events_normalized.operated_by is 'us, carrier, supplier or customer: decides the scope.';
comment on column public.events_normalized.throughput_t is 'Tonnes that left the warehouse.';

-- Rows of before may be longer: claim_events sets those aside.
alter table public.events_normalized
  add constraint source_key_length check (length(source_key) <= 200) not valid,
  add constraint vehicle_type_length check (length(vehicle_type) <= 100) not valid,
  add constraint fuel_type_length check (length(fuel_type) <= 100) not valid,
  add constraint route_id_length check (length(route_id) <= 200) not valid,
  add constraint warehouse_id_length check (length(warehouse_id) <= 200) not valid,
  add constraint factory_id_length check (length(factory_id) <= 200) not valid;

-- All columns but id and created_at: the time of arrival is the database's word, retention goes by it.
revoke insert on public.events_normalized from event_writer;
grant insert (
  source_key, event_type, supplier_id, "timestamp", distance_km, load_kg, vehicle_type, fuel_type, speed, stop_events, energy_kwh,
  furnace_usage, cooling_load, shift_hours, machine_runtime_hours, temperature, refrigeration_load, inventory_volume, route_length,
  traffic_score, delivery_count, route_id, warehouse_id, factory_id, is_outlier, vehicle_class, vehicle_capacity_kg,
  temperature_control, shared_vehicle, empty_km, sfd_km, gcd_km, planned_distance_km, fuel_litres, fuel_kg, natural_gas_kwh, heat_kwh,
  furnace_unit, co2e_kg, co2e_boundary, co2e_method, country, operated_by, throughput_t, pallets, output_quantity, output_unit
) on public.events_normalized to event_writer;

create table public.suppliers (
  supplier_id text primary key check (length(supplier_id) between 1 and 200),
  vehicle_class text check (length(vehicle_class) <= 100),
  vehicle_class_origin text check (vehicle_class_origin in ('loads', 'person')),
  vehicle_capacity_kg double precision check (vehicle_capacity_kg > 0 and vehicle_capacity_kg <= 100000),
  vehicle_capacity_kg_origin text check (vehicle_capacity_kg_origin = 'person'),
  country text check (country ~ '^[A-Z]{3}$'),
  country_origin text check (country_origin = 'person'),
  operated_by text check (operated_by in ('us', 'carrier', 'supplier', 'customer')),
  operated_by_origin text check (operated_by_origin = 'person'),
  loads int not null default 0,
  largest_load_kg double precision,
  updated_at timestamptz not null default now(),
  check ((vehicle_class is null) = (vehicle_class_origin is null)),
  check ((vehicle_capacity_kg is null) = (vehicle_capacity_kg_origin is null)),
  check ((country is null) = (country_origin is null)),
  check ((operated_by is null) = (operated_by_origin is null))
);
comment on table public.suppliers is 'One row per supplier: what holds for all of its events that do not say it themselves. Written by the worker.';
comment on column public.suppliers.vehicle_class is 'Class of its trucks: from its first 12 loads, or set by a person. A change takes effect by recomputing.';
comment on column public.suppliers.country is 'ISO 3166 alpha-3';
comment on column public.suppliers.loads is 'Loads of trucks without a declared class that were seen before its class was known.';
comment on column public.suppliers.largest_load_kg is 'The largest of those loads.';
alter table public.suppliers enable row level security;
revoke all on public.suppliers from anon, authenticated, service_role;
grant select, insert, update, delete on public.suppliers to service_role;

create table public.quarantine (
  event_id bigint primary key references public.events_normalized (id) on delete cascade,
  entity text not null,
  event_type text not null,
  state text not null default 'held' check (state in ('held', 'released', 'dropped')),
  kind text not null check (length(kind) <= 100),
  reason text not null check (length(reason) <= 1000),
  column_name text check (length(column_name) <= 100),
  raw_value text check (length(raw_value) <= 1000),
  created_at timestamptz not null default now(),
  decided_at timestamptz
);
comment on table public.quarantine is 'One row per event that is implausible or has no emission factor. It is neither judged nor learned from while held or dropped.';
comment on column public.quarantine.state is 'held; released: a person said that it is right, or it was mended; dropped: it stays out for good.';
comment on column public.quarantine.kind is 'range, factor, energy, unit, time, size, disagrees or history';
comment on column public.quarantine.raw_value is 'What the event says in column_name.';
create index quarantine_held on public.quarantine (event_id) where state = 'held';
alter table public.quarantine enable row level security;
revoke all on public.quarantine from anon, authenticated, service_role;
grant select, insert, update, delete on public.quarantine to service_role;

-- Unique by factor set: a new set adds its own predictions and leaves the old ones. Rows of before are of the set that their model
-- version names.
alter table public.predictions
  add column factor_set text,
  add column factors_sha256 text,
  add column kg_ttw double precision,
  add column kg_wtt double precision,
  add column kg_model double precision,
  add column kg_biogenic double precision,
  add column scopes jsonb,
  add column method text check (method in ('primary', 'modelled', 'default', 'service')),
  add column factor_ids text[] not null default '{}',
  add column grid_country text,
  add column grid_year int,
  add column grid_basis text,
  add column vehicle_class text,
  add column activity double precision,
  add column activity_basis text,
  add column inputs jsonb not null default '{}',
  add column flags text[] not null default '{}',
  add column dq smallint check (dq between 1 and 5);
update public.predictions set factor_set = model_version;
alter table public.predictions alter column factor_set set not null;
alter table public.predictions drop constraint predictions_pkey;
alter table public.predictions add constraint predictions_pkey primary key (event_id, factor_set);
comment on table public.predictions is 'One row per event and factor set. Written by the worker.';
comment on column public.predictions.predicted_co2 is 'kg CO2e, well to wheel: kg_ttw + kg_wtt, to the gram.';
comment on column public.predictions.model_version is 'Version of the formulas, or of the service that predicted.';
comment on column public.predictions.factor_set is 'Name of the set of emission factors.';
comment on column public.predictions.factors_sha256 is 'Checksum of the files of that set.';
comment on column public.predictions.kg_ttw is 'kg CO2e of the operation (tank to wheel).';
comment on column public.predictions.kg_wtt is 'kg CO2e of providing the energy (well to tank).';
comment on column public.predictions.kg_model is 'kg CO2e by distance, class and load, beside primary data.';
comment on column public.predictions.kg_biogenic is 'kg CO2 of biofuel blends: outside of scopes, in no total.';
comment on column public.predictions.scopes is 'kg CO2e by scope: 1, 2, and categories of scope 3 (3.1, 3.3, 3.4, 3.9).';
comment on column public.predictions.method is 'primary: measured fuel, energy or stated kg CO2e; modelled: distance, declared class, actual load; default: something was assumed; service: another predictor.';
comment on column public.predictions.activity is 'What the kilograms are divided by, in the unit of activity_basis.';
comment on column public.predictions.inputs is 'Every input: [value, origin], origin being event, setting or assumed.';
comment on column public.predictions.dq is 'Quality of the data: 1 metered or evidenced, 2 primary as declared, 3 modelled, 4 default, 5 proxy or single source.';
comment on column public.predictions.estimated is 'Something was assumed that the event does not say.';
comment on column public.predictions.in_range is 'No input lies outside of its usual range.';

-- The length of texts is looked at before anything is serialised: octet_length() reads it from the row without fetching the value. Most
-- columns of an event are null and left out; JSON is put together as text, since it is only passed on. Events are looked up one by one,
-- whatever the planner knows of the tables: it read all of them for each claim. A new column of events_normalized has to be named here.
drop function public.claim_events(uuid, bigint, int, int, int);
create or replace function public.claim_events(holder uuid, token bigint, lease_seconds int, size int, max_bytes int) returns json
language plpgsql set search_path = '' as $$
declare
  widest constant int := 65536;
  new_batch constant uuid := pg_catalog.gen_random_uuid();
  new_until constant timestamptz := pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_seconds);
  claimed text;
  number int;
  keys jsonb;
  set_aside int;
  quarantined int := 0;
begin
  perform public.hold_lease(holder, token);
  update public.leases l set until = new_until where l.name = 'scan';
  update public.event_queue q set batch = null, claimed_until = null where q.batch is not null;
  loop
    with pending as (
      select q.event_id from public.event_queue q
      where q.state = 'pending' and (q.claimed_until is null or q.claimed_until <= pg_catalog.clock_timestamp())
      order by q.event_id limit least(greatest(size, 1), 4000)
    ), measured as materialized (
      select p.event_id as id, e.octets from pending p cross join lateral (
        select coalesce(pg_catalog.octet_length(e.source_key), 0) + pg_catalog.octet_length(e.supplier_id)
          + coalesce(pg_catalog.octet_length(e.vehicle_type), 0) + coalesce(pg_catalog.octet_length(e.fuel_type), 0)
          + coalesce(pg_catalog.octet_length(e.route_id), 0) + coalesce(pg_catalog.octet_length(e.warehouse_id), 0)
          + coalesce(pg_catalog.octet_length(e.factory_id), 0) as octets
        from public.events_normalized e where e.id = p.event_id offset 0) e
    ), wide as (
      insert into public.quarantine (event_id, entity, event_type, kind, reason)
      select e.id, e.supplier_id, e.event_type, 'size',
        pg_catalog.format('the event has %s bytes of text where at most %s are read', m.octets, widest)
      from measured m join public.events_normalized e on e.id = m.id where m.octets > widest
      on conflict (event_id) do update set state = 'held', kind = excluded.kind, reason = excluded.reason
      returning event_id
    ), unqueued as (
      delete from public.event_queue q using wide w where q.event_id = w.event_id returning 1
    ), narrow as materialized (
      select id from (
        select m.id, pg_catalog.sum(m.octets) over (order by m.id) as octets, pg_catalog.row_number() over (order by m.id) as place
        from measured m where m.octets <= widest) running
      where octets <= max_bytes or place = 1
    ), serialised as materialized (
      select e.* from narrow n cross join lateral (
        select e.id, e.supplier_id, e.event_type, pg_catalog.concat('{"id":', e.id,
          ',"source_key":' || pg_catalog.to_json(e.source_key), ',"event_type":' || pg_catalog.to_json(e.event_type),
          ',"supplier_id":' || pg_catalog.to_json(e.supplier_id), ',"timestamp":' || pg_catalog.to_json(e."timestamp"),
          ',"distance_km":' || pg_catalog.to_json(e.distance_km), ',"load_kg":' || pg_catalog.to_json(e.load_kg),
          ',"vehicle_type":' || pg_catalog.to_json(e.vehicle_type), ',"fuel_type":' || pg_catalog.to_json(e.fuel_type),
          ',"speed":' || pg_catalog.to_json(e.speed), ',"stop_events":' || pg_catalog.to_json(e.stop_events),
          ',"energy_kwh":' || pg_catalog.to_json(e.energy_kwh), ',"furnace_usage":' || pg_catalog.to_json(e.furnace_usage),
          ',"cooling_load":' || pg_catalog.to_json(e.cooling_load), ',"shift_hours":' || pg_catalog.to_json(e.shift_hours),
          ',"machine_runtime_hours":' || pg_catalog.to_json(e.machine_runtime_hours),
          ',"temperature":' || pg_catalog.to_json(e.temperature), ',"refrigeration_load":' || pg_catalog.to_json(e.refrigeration_load),
          ',"inventory_volume":' || pg_catalog.to_json(e.inventory_volume), ',"route_length":' || pg_catalog.to_json(e.route_length),
          ',"traffic_score":' || pg_catalog.to_json(e.traffic_score), ',"delivery_count":' || pg_catalog.to_json(e.delivery_count),
          ',"route_id":' || pg_catalog.to_json(e.route_id), ',"warehouse_id":' || pg_catalog.to_json(e.warehouse_id),
          ',"factory_id":' || pg_catalog.to_json(e.factory_id), ',"is_outlier":' || pg_catalog.to_json(e.is_outlier),
          ',"created_at":' || pg_catalog.to_json(e.created_at), ',"vehicle_class":' || pg_catalog.to_json(e.vehicle_class),
          ',"vehicle_capacity_kg":' || pg_catalog.to_json(e.vehicle_capacity_kg),
          ',"temperature_control":' || pg_catalog.to_json(e.temperature_control),
          ',"shared_vehicle":' || pg_catalog.to_json(e.shared_vehicle), ',"empty_km":' || pg_catalog.to_json(e.empty_km),
          ',"sfd_km":' || pg_catalog.to_json(e.sfd_km), ',"gcd_km":' || pg_catalog.to_json(e.gcd_km),
          ',"planned_distance_km":' || pg_catalog.to_json(e.planned_distance_km),
          ',"fuel_litres":' || pg_catalog.to_json(e.fuel_litres), ',"fuel_kg":' || pg_catalog.to_json(e.fuel_kg),
          ',"natural_gas_kwh":' || pg_catalog.to_json(e.natural_gas_kwh), ',"heat_kwh":' || pg_catalog.to_json(e.heat_kwh),
          ',"furnace_unit":' || pg_catalog.to_json(e.furnace_unit), ',"co2e_kg":' || pg_catalog.to_json(e.co2e_kg),
          ',"co2e_boundary":' || pg_catalog.to_json(e.co2e_boundary), ',"co2e_method":' || pg_catalog.to_json(e.co2e_method),
          ',"country":' || pg_catalog.to_json(e.country), ',"operated_by":' || pg_catalog.to_json(e.operated_by),
          ',"throughput_t":' || pg_catalog.to_json(e.throughput_t), ',"pallets":' || pg_catalog.to_json(e.pallets),
          ',"output_quantity":' || pg_catalog.to_json(e.output_quantity), ',"output_unit":' || pg_catalog.to_json(e.output_unit), '}') as event
        from public.events_normalized e where e.id = n.id offset 0) e
    ), sized as (
      select s.*, pg_catalog.sum(pg_catalog.octet_length(s.event)) over (order by s.id) as bytes,
        pg_catalog.row_number() over (order by s.id) as place
      from serialised s
    ), taken as materialized (
      select s.id, s.supplier_id, s.event_type, case when r.event_id is null then s.event
        else pg_catalog.left(s.event, -1) || ',"released":true}' end as event
      from sized s left join public.quarantine r on r.event_id = s.id and r.state = 'released'
      where s.bytes <= max_bytes or s.place = 1
    ), marked as (
      update public.event_queue q set batch = new_batch, claimed_until = new_until
      from taken t where q.event_id = t.id
    )
    select pg_catalog.string_agg(t.event, ',' order by t.id), pg_catalog.count(*),
      (select pg_catalog.count(*) from unqueued),
      (select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
        'entity', d.supplier_id, 'entity_type', 'supplier', 'event_type', d.event_type, 'held', k.entity is not null))
      from (select distinct t.supplier_id, t.event_type from taken t) d
      left join public.detector_keys k on k.entity = d.supplier_id and k.entity_type = 'supplier' and k.event_type = d.event_type
        and k.token = claim_events.token)
    into claimed, number, set_aside, keys from taken t;
    quarantined := quarantined + set_aside;
    exit when claimed is not null or set_aside = 0;
  end loop;
  if claimed is null then
    return pg_catalog.json_build_object(
      'batch', null, 'events', '[]'::json, 'baselines', '[]'::json, 'episodes', '[]'::json, 'suppliers', '[]'::json,
      'quarantined', quarantined);
  end if;
  insert into public.batches (id, token, events) values (new_batch, claim_events.token, number);
  return pg_catalog.concat('{"batch":"', new_batch, '","quarantined":', quarantined, ',"events":[', claimed, '],',
    pg_catalog.substr(public.keys_state(keys)::text, 2));
end $$;
comment on function public.claim_events(uuid, bigint, int, int, int) is
  'Claims up to 4000 pending events in order of arrival, at most max_bytes of JSON (one at least), and renews the lease. Without the state of keys that were written under this lease.';
revoke execute on function public.claim_events(uuid, bigint, int, int, int) from public, anon, authenticated, service_role;
grant execute on function public.claim_events(uuid, bigint, int, int, int) to service_role;

-- Quarantined events complete like any other.
create or replace function public.commit_batch(holder uuid, token bigint, batch uuid, result jsonb) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '30s' as $$
declare
  nothing constant jsonb := '{"events": [], "failed": [], "quarantined": [], "suppliers": [], "predictions": [], "periods": []}';
  claimed public.batches;
  counts jsonb;
  done int;
  failed int;
  quarantined int;
  computed int;
begin
  result := nothing || result;
  perform public.hold_lease(holder, token);
  select b.* into claimed from public.batches b where b.id = commit_batch.batch for update;
  if not found then
    raise sqlstate 'PT409' using message = pg_catalog.format('batch %s is unknown', commit_batch.batch), hint = 'events';
  end if;
  if claimed.result is not null then
    return claimed.result;
  end if;

  -- Completion: every event of the batch is done, quarantined or failed, and still belongs to it.
  delete from public.event_queue q using pg_catalog.jsonb_array_elements_text(result -> 'events') e
  where q.event_id = e::bigint and q.batch = claimed.id;
  get diagnostics done = row_count;
  with held as (
    delete from public.event_queue q using pg_catalog.jsonb_to_recordset(result -> 'quarantined') as r(event_id bigint)
    where q.event_id = r.event_id and q.batch = claimed.id returning q.event_id
  )
  insert into public.quarantine as old (event_id, entity, event_type, kind, reason, column_name, raw_value)
  select e.id, e.supplier_id, e.event_type, r.kind, pg_catalog.left(r.reason, 1000), r.column_name, pg_catalog.left(r.raw_value, 1000)
  from pg_catalog.jsonb_to_recordset(result -> 'quarantined') as r(event_id bigint, kind text, reason text, column_name text, raw_value text)
  join held h on h.event_id = r.event_id join public.events_normalized e on e.id = r.event_id
  on conflict (event_id) do update set state = 'held', kind = excluded.kind, reason = excluded.reason,
    column_name = excluded.column_name, raw_value = excluded.raw_value, created_at = pg_catalog.now(), decided_at = null;
  get diagnostics quarantined = row_count;
  update public.event_queue q set
    attempts = q.attempts + 1, last_error = f.error, batch = null,
    state = case when f.dead or q.attempts >= 2 then 'dead' else 'pending' end,
    claimed_until = case when f.dead or q.attempts >= 2 then null
      else pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => 30 * (q.attempts + 1)) end
  from pg_catalog.jsonb_to_recordset(result -> 'failed') as f(event_id bigint, error text, dead boolean)
  where q.event_id = f.event_id and q.batch = claimed.id;
  get diagnostics failed = row_count;
  if done + quarantined + failed <> claimed.events
    or done <> pg_catalog.jsonb_array_length(result -> 'events')
    or quarantined <> pg_catalog.jsonb_array_length(result -> 'quarantined')
    or failed <> pg_catalog.jsonb_array_length(result -> 'failed')
  then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('batch %s has %s events, %s would be completed, %s quarantined and %s set aside',
        claimed.id, claimed.events, done, quarantined, failed),
      hint = 'events';
  end if;

  -- What a person set meanwhile stays.
  insert into public.suppliers as old (supplier_id, vehicle_class, vehicle_class_origin, loads, largest_load_kg)
  select s.supplier_id, s.vehicle_class, s.vehicle_class_origin, s.loads, s.largest_load_kg
  from pg_catalog.jsonb_to_recordset(result -> 'suppliers') as s(supplier_id text, vehicle_class text, vehicle_class_origin text,
    loads int, largest_load_kg double precision)
  on conflict (supplier_id) do update set
    loads = excluded.loads, largest_load_kg = excluded.largest_load_kg,
    vehicle_class = coalesce(old.vehicle_class, excluded.vehicle_class),
    vehicle_class_origin = coalesce(old.vehicle_class_origin, excluded.vehicle_class_origin), updated_at = pg_catalog.clock_timestamp();

  perform public.write_predictions(result -> 'predictions');
  computed := public.write_computed(result -> 'computed');
  perform public.write_periods(result -> 'periods');

  select pg_catalog.jsonb_build_object(
    'events', done, 'quarantined', quarantined, 'failed', failed,
    'predictions', pg_catalog.jsonb_array_length(result -> 'predictions') + computed) || public.write_findings(result) into counts;
  update public.batches b set result = counts, committed_at = pg_catalog.clock_timestamp() where b.id = claimed.id;
  return counts;
end $$;

-- An event that was mended, and one that a person releases, is worked off like a new one.
create function public.requeue_mended_events() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  with mended as (
    delete from public.quarantine r using new_rows n where r.event_id = n.id and r.state = 'held' returning r.event_id
  )
  insert into public.event_queue (event_id) select event_id from mended on conflict (event_id) do nothing;
  if found and not exists (select from public.scans where status = 'queued') then
    insert into public.scans (reason) values ('events');
  end if;
  return null;
end $$;
revoke execute on function public.requeue_mended_events() from public, anon, authenticated, service_role;
create trigger requeue_mended_events after update on public.events_normalized
referencing new table as new_rows for each statement execute function public.requeue_mended_events();

create function public.decide_quarantine(events bigint[], verdict text) returns int
language plpgsql set search_path = '' as $$
declare
  decided bigint[];
begin
  if verdict is null or verdict not in ('released', 'dropped') then
    raise exception 'verdict must be released or dropped, not %', verdict using errcode = '22023';
  end if;
  with changed as (
    update public.quarantine r set state = verdict, decided_at = pg_catalog.clock_timestamp()
    where r.event_id = any (events) and r.state = 'held' and not (r.kind in ('size', 'time') and verdict = 'released')
    returning r.event_id
  ) select coalesce(pg_catalog.array_agg(event_id), '{}') into decided from changed;
  if verdict = 'released' then
    insert into public.event_queue (event_id) select pg_catalog.unnest(decided) on conflict (event_id) do nothing;
    if pg_catalog.cardinality(decided) > 0 and not exists (select from public.scans where status = 'queued') then
      insert into public.scans (reason) values ('quarantine');
    end if;
  end if;
  return pg_catalog.cardinality(decided);
end $$;
comment on function public.decide_quarantine(bigint[], text) is
  'Releases held events, which are then judged whatever their ranges, or drops them for good; their number. What has too much text or no possible time cannot be released.';
revoke execute on function public.decide_quarantine(bigint[], text) from public, anon, authenticated, service_role;
grant execute on function public.decide_quarantine(bigint[], text) to service_role;
