-- A claim is recorded in its batch instead of in each row of the queue: that update wrote a row and three index entries for each event, and
-- Realtime's decoding of the log read them all.
alter table public.batches add column claimed int8multirange;
comment on column public.batches.claimed is 'Ids of its events while they are claimed; null once it is committed, or a later claim has taken its place.';
create index batches_claimed on public.batches (id) where claimed is not null;

create or replace function public.claim_events(holder uuid, token bigint, lease_seconds int, size int, max_bytes int) returns json
language plpgsql set search_path = '' as $$
declare
  widest constant int := 65536;
  new_batch constant uuid := pg_catalog.gen_random_uuid();
  claimed text;
  number int;
  ids pg_catalog.int8multirange;
  keys jsonb;
  set_aside int;
  quarantined int := 0;
begin
  perform public.hold_lease(holder, token);
  update public.leases l set until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_seconds) where l.name = 'scan';
  update public.batches b set claimed = null where b.claimed is not null;
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
    )
    select pg_catalog.string_agg(t.event, ',' order by t.id), pg_catalog.count(*),
      pg_catalog.range_agg(pg_catalog.int8range(t.id, t.id, '[]') order by t.id),
      (select pg_catalog.count(*) from unqueued),
      (select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
        'entity', d.supplier_id, 'entity_type', 'supplier', 'event_type', d.event_type, 'held', k.entity is not null))
      from (select distinct t.supplier_id, t.event_type from taken t) d
      left join public.detector_keys k on k.entity = d.supplier_id and k.entity_type = 'supplier' and k.event_type = d.event_type
        and k.token = claim_events.token)
    into claimed, number, ids, set_aside, keys from taken t;
    quarantined := quarantined + set_aside;
    exit when claimed is not null or set_aside = 0;
  end loop;
  if claimed is null then
    return pg_catalog.json_build_object(
      'batch', null, 'events', '[]'::json, 'baselines', '[]'::json, 'episodes', '[]'::json, 'suppliers', '[]'::json,
      'quarantined', quarantined);
  end if;
  insert into public.batches (id, token, events, claimed) values (new_batch, claim_events.token, number, ids);
  return pg_catalog.concat('{"batch":"', new_batch, '","quarantined":', quarantined, ',"events":[', claimed, '],',
    pg_catalog.substr(public.keys_state(keys)::text, 2));
end $$;

create or replace function public.batch_state(batch uuid) returns jsonb
language sql stable set search_path = '' as $$
  select public.keys_state(coalesce(pg_catalog.jsonb_agg(distinct pg_catalog.jsonb_build_object(
    'entity', e.supplier_id, 'entity_type', 'supplier', 'event_type', e.event_type)), '[]'))
  from public.batches b, pg_catalog.unnest(b.claimed) r
    join public.event_queue q on q.event_id >= pg_catalog.lower(r) and q.event_id < pg_catalog.upper(r)
    join public.events_normalized e on e.id = q.event_id
  where b.id = batch_state.batch
$$;

-- Periods go before predictions: the sums of a day then take in its period at once, instead of being changed after it. What a result leaves
-- out is null, which every function reads as no rows; filling it in copied the whole megabyte, here and in write_findings.
create or replace function public.commit_batch(holder uuid, token bigint, batch uuid, result jsonb) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '30s' as $$
declare
  claimed public.batches;
  counts jsonb;
  done int;
  failed int;
  quarantined int;
  computed int;
begin
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
  where q.event_id = e::bigint and q.event_id <@ claimed.claimed;
  get diagnostics done = row_count;
  with held as (
    delete from public.event_queue q using pg_catalog.jsonb_to_recordset(result -> 'quarantined') as r(event_id bigint)
    where q.event_id = r.event_id and q.event_id <@ claimed.claimed returning q.event_id
  )
  insert into public.quarantine as old (event_id, entity, event_type, kind, reason, column_name, raw_value)
  select e.id, e.supplier_id, e.event_type, r.kind, pg_catalog.left(r.reason, 1000), r.column_name, pg_catalog.left(r.raw_value, 1000)
  from pg_catalog.jsonb_to_recordset(result -> 'quarantined') as r(event_id bigint, kind text, reason text, column_name text, raw_value text)
  join held h on h.event_id = r.event_id join public.events_normalized e on e.id = r.event_id
  on conflict (event_id) do update set state = 'held', kind = excluded.kind, reason = excluded.reason,
    column_name = excluded.column_name, raw_value = excluded.raw_value, created_at = pg_catalog.now(), decided_at = null;
  get diagnostics quarantined = row_count;
  update public.event_queue q set
    attempts = q.attempts + 1, last_error = f.error,
    state = case when f.dead or q.attempts >= 2 then 'dead' else 'pending' end,
    claimed_until = case when f.dead or q.attempts >= 2 then null
      else pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => 30 * (q.attempts + 1)) end
  from pg_catalog.jsonb_to_recordset(result -> 'failed') as f(event_id bigint, error text, dead boolean)
  where q.event_id = f.event_id and q.event_id <@ claimed.claimed;
  get diagnostics failed = row_count;
  if done + quarantined + failed <> claimed.events
    or done <> coalesce(pg_catalog.jsonb_array_length(result -> 'events'), 0)
    or quarantined <> coalesce(pg_catalog.jsonb_array_length(result -> 'quarantined'), 0)
    or failed <> coalesce(pg_catalog.jsonb_array_length(result -> 'failed'), 0)
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

  perform public.write_periods(result -> 'periods');
  perform public.write_predictions(result -> 'predictions');
  computed := public.write_computed(result -> 'computed');

  select pg_catalog.jsonb_build_object(
    'events', done, 'quarantined', quarantined, 'failed', failed,
    'predictions', coalesce(pg_catalog.jsonb_array_length(result -> 'predictions'), 0) + computed) || public.write_findings(result) into counts;
  update public.batches b set result = counts, claimed = null, committed_at = pg_catalog.clock_timestamp() where b.id = claimed.id;
  return counts;
end $$;

create or replace function public.start_scan(holder uuid, lease_seconds int, reason text) returns jsonb
language plpgsql set search_path = '' as $$
declare
  former public.leases;
  lease public.leases;
  scan bigint;
begin
  select l.* into strict former from public.leases l where l.name = 'scan' for update;
  if former.until > pg_catalog.clock_timestamp() and former.holder <> start_scan.holder then
    return pg_catalog.jsonb_build_object('status', 'held', 'holder', former.holder, 'until', former.until);
  end if;
  if start_scan.reason = 'poll'
    and not exists (select from public.scans s where s.status in ('queued', 'running'))
    and not exists (
      select from public.event_queue q
      where q.state = 'pending' and (q.claimed_until is null or q.claimed_until <= pg_catalog.clock_timestamp()))
  then
    return pg_catalog.jsonb_build_object('status', 'idle');
  end if;
  update public.leases l set holder = start_scan.holder, token = l.token + 1,
    until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_seconds)
  where l.name = 'scan' returning l.* into lease;

  -- A holder that calls again, because the answer was lost or it came back in time, goes on with what it had started.
  update public.scans s set status = 'failed', error = 'its worker went away', finished_at = pg_catalog.clock_timestamp()
  where s.status = 'running' and (former.holder is distinct from start_scan.holder or s.token is distinct from former.token);
  with started as (
    update public.scans s set status = 'running', token = lease.token,
      started_at = coalesce(s.started_at, pg_catalog.clock_timestamp())
    where s.status in ('queued', 'running') returning s.id
  ) select pg_catalog.min(id) into scan from started;
  if scan is null then
    insert into public.scans (status, reason, token, started_at)
    values ('running', start_scan.reason, lease.token, pg_catalog.clock_timestamp()) returning id into scan;
  end if;
  return pg_catalog.jsonb_build_object('status', 'started', 'scan', scan, 'token', lease.token);
end $$;

alter table public.event_queue drop column batch;
comment on column public.event_queue.claimed_until is 'End of the back-off after a failure.';

create or replace function public.write_findings(findings jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  refs jsonb;
  counts jsonb;
  proposed jsonb;
  expected int;
  changed int;
  told int;
begin
  perform pg_catalog.set_config('hotspots.by_engine', 'on', true);
  -- A word that was taken back since it was read must not count.
  update public.detector_inputs i set applied = true
  from pg_catalog.jsonb_array_elements_text(findings -> 'heard') h where i.id = h::bigint;
  get diagnostics changed = row_count;
  perform from public.detector_inputs i
  where i.id in (select r::bigint from pg_catalog.jsonb_array_elements_text(findings -> 'replayed') r) for key share;
  get diagnostics expected = row_count;
  changed := changed + expected;
  expected := coalesce(pg_catalog.jsonb_array_length(findings -> 'heard'), 0) + coalesce(pg_catalog.jsonb_array_length(findings -> 'replayed'), 0);
  if changed <> expected then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('%s of %s words were taken back since they were read', expected - changed, expected), hint = 'episode';
  end if;
  delete from public.detectors d
  using pg_catalog.jsonb_to_recordset(findings -> 'anew') as k(entity text, entity_type text, event_type text)
  where d.entity = k.entity and d.entity_type = k.entity_type and d.event_type = k.event_type;
  insert into public.detectors as old (entity, entity_type, event_type, series, method, basis, country, learned, usual, spread, newest_at, state)
  select d.entity, d.entity_type, d.event_type, d.series, d.method, d.basis, d.country, d.learned, d.usual, d.spread, d.newest_at, d.state
  from pg_catalog.jsonb_to_recordset(findings -> 'detectors') as d(entity text, entity_type text, event_type text, series text, method text,
    basis text, country text, learned int, usual double precision, spread double precision, newest_at timestamptz, state jsonb)
  on conflict on constraint detectors_pkey do update set
    learned = excluded.learned, usual = excluded.usual, spread = excluded.spread, newest_at = excluded.newest_at,
    state = excluded.state, updated_at = pg_catalog.clock_timestamp();
  insert into public.detector_keys as old (entity, entity_type, event_type, newest_at, due_at, late, state)
  select k.entity, k.entity_type, k.event_type, k.newest_at, k.due_at, k.late, k.state
  from pg_catalog.jsonb_to_recordset(findings -> 'keys') as k(entity text, entity_type text, event_type text, newest_at timestamptz,
    due_at timestamptz, late int, state jsonb)
  on conflict on constraint detector_keys_pkey do update set
    newest_at = excluded.newest_at, due_at = excluded.due_at, late = excluded.late, state = excluded.state;
  insert into public.detector_inputs (entity, entity_type, event_type, kind, at, after_event, applied)
  select i.entity, i.entity_type, i.event_type, 'silence', i.at, (
    select pg_catalog.max(p.event_id) from public.predictions p
    where p.entity = i.entity and p.entity_type = i.entity_type and p.event_type = i.event_type), true
  from pg_catalog.jsonb_to_recordset(findings -> 'inputs') as i(entity text, entity_type text, event_type text, at timestamptz);
  insert into public.notices (entity, entity_type, event_type, kind, message, event_id, occurred_at)
  select n.entity, n.entity_type, n.event_type, n.kind, pg_catalog.left(n.message, 1000), n.event_id, n.occurred_at
  from pg_catalog.jsonb_to_recordset(findings -> 'notices') as n(entity text, entity_type text, event_type text, kind text, message text,
    event_id bigint, occurred_at timestamptz);
  perform public.request_rebuild(r.entity, r.entity_type, r.event_type, r.reason)
  from pg_catalog.jsonb_to_recordset(findings -> 'rebuilds') as r(entity text, entity_type text, event_type text, reason text);

  -- In the order in which people's decisions lock them.
  perform from public.hotspots h
  where h.id in (select (e ->> 'id')::bigint from pg_catalog.jsonb_array_elements(findings -> 'episodes') e) order by h.id for update;
  -- Known episodes first: one that resolves makes room for the one that opens after it.
  update public.hotspots h set
    predicted_co2 = e.predicted_co2, baseline_co2 = e.baseline_co2, percent_above = e.percent_above, severity = e.severity,
    peak_severity = coalesce(e.peak_severity, e.severity), status = e.status, event_id = e.event_id, phase = e.phase, series = e.series,
    rule = e.rule, excess_kg = e.excess_kg, reason = pg_catalog.left(e.reason, 1000), occurred_at = e.occurred_at,
    last_seen_at = e.last_seen_at, drivers = e.drivers, announced = e.announced, resolution = e.resolution,
    resolved_at = case when e.status = 'resolved' then pg_catalog.clock_timestamp() else h.resolved_at end
  from pg_catalog.jsonb_populate_recordset(null::public.hotspots, findings -> 'episodes') e
  where h.id = e.id and h.version = e.version and h.status = 'active';
  get diagnostics changed = row_count;
  expected := (select pg_catalog.count(*) from pg_catalog.jsonb_array_elements(findings -> 'episodes') e where e ->> 'id' is not null);
  if changed <> expected then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('%s of %s episodes changed since they were read', expected - changed, expected), hint = 'episode';
  end if;
  -- Ids of new episodes are drawn first, so that alerts and recommendations find theirs by ref.
  select coalesce(pg_catalog.jsonb_object_agg(
    e.ref, coalesce(e.id, pg_catalog.nextval(pg_catalog.pg_get_serial_sequence('public.hotspots', 'id')))), '{}')
  into refs from (
    select * from pg_catalog.jsonb_to_recordset(findings -> 'episodes') as e(ref int, id bigint) order by ref) e;
  insert into public.hotspots (id, entity, entity_type, event_type, predicted_co2, baseline_co2, percent_above, severity, peak_severity,
    status, event_id, phase, series, rule, excess_kg, reason, occurred_at, last_seen_at, drivers, announced, resolution, resolved_at)
  overriding system value
  select (refs ->> (e.part ->> 'ref'))::bigint, r.entity, r.entity_type, r.event_type, r.predicted_co2, r.baseline_co2, r.percent_above,
    r.severity, coalesce(r.peak_severity, r.severity), r.status, r.event_id, r.phase, r.series, r.rule, r.excess_kg,
    pg_catalog.left(r.reason, 1000), r.occurred_at, r.last_seen_at, r.drivers, r.announced, r.resolution,
    case when r.status = 'resolved' then pg_catalog.clock_timestamp() end
  from pg_catalog.jsonb_array_elements(findings -> 'episodes') as e(part),
    lateral pg_catalog.jsonb_populate_record(null::public.hotspots, e.part) r
  where e.part ->> 'id' is null
  on conflict (entity, entity_type, event_type) where status = 'active' do nothing;
  get diagnostics changed = row_count;
  expected := coalesce(pg_catalog.jsonb_array_length(findings -> 'episodes'), 0) - expected;
  if changed <> expected then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('%s of %s new episodes are open already', expected - changed, expected), hint = 'episode';
  end if;
  update public.hotspots h set previous_id = (
    select pg_catalog.max(f.id) from public.hotspots f
    where f.entity = h.entity and f.event_type = h.event_type and f.entity_type = h.entity_type and f.id < h.id)
  from pg_catalog.jsonb_to_recordset(findings -> 'episodes') as e(ref int, id bigint, reopens boolean)
  where e.id is null and e.reopens and h.id = (refs ->> e.ref::text)::bigint;

  select coalesce(pg_catalog.jsonb_agg(
    e.part || pg_catalog.jsonb_build_object('hotspot', refs -> (e.part ->> 'ref')) order by e.n), '[]')
  into proposed from pg_catalog.jsonb_array_elements(findings -> 'alerts') with ordinality as e(part, n);
  told := public.write_alerts(proposed, (findings ->> 'now')::timestamptz, (findings ->> 'cooldown_seconds')::double precision);
  perform public.write_advice(refs, findings -> 'advised', findings -> 'recommendations');

  select pg_catalog.jsonb_build_object(
    'opened', pg_catalog.count(*) filter (where e ->> 'id' is null),
    'updated', pg_catalog.count(*) filter (where e ->> 'id' is not null),
    'resolved', pg_catalog.count(*) filter (where e ->> 'status' = 'resolved'),
    'alerts', told,
    'notices', coalesce(pg_catalog.jsonb_array_length(findings -> 'notices'), 0),
    'rebuilds', coalesce(pg_catalog.jsonb_array_length(findings -> 'rebuilds'), 0),
    'recommendations', coalesce(pg_catalog.jsonb_array_length(findings -> 'recommendations'), 0))
  into counts from pg_catalog.jsonb_array_elements(findings -> 'episodes') e;
  return counts;
end $$;

-- What an alert is compared with is looked up by its key: a plan from the time when the tables were small read all alerts for each.
alter function public.write_alerts(jsonb, timestamptz, double precision)
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off;
