-- What a scan costs: the worker holds the detectors of a scan in memory, so a claim brings only those that it has not written itself;
-- predictions come in columns; a claim is put together as text.

-- Nobody looks into the state here: text is stored and read without being taken apart, and a few kB stay in their row uncompressed.
alter table public.detectors alter column state type json;
alter table public.detectors alter column state set storage external;
alter table public.detectors set (toast_tuple_target = 8160);

alter table public.detector_keys add column token bigint;
comment on column public.detector_keys.token is 'Of the lease under which the key and its detectors were written last: its holder knows them.';
create function public.stamp_key() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.token := (select l.token from public.leases l where l.name = 'scan');
  return new;
end $$;
revoke execute on function public.stamp_key() from public, anon, authenticated, service_role;
create trigger stamp_key before insert or update on public.detector_keys for each row execute function public.stamp_key();

-- As before; of keys that are marked as held neither the shared state nor the detectors are given.
create or replace function public.keys_state(keys jsonb) returns jsonb
language sql stable set search_path = '' as $$
  with wanted as (
    select k.entity, k.entity_type, k.event_type, coalesce(k.held, false) as held
    from pg_catalog.jsonb_to_recordset(keys) as k(entity text, entity_type text, event_type text, held boolean)
  )
  select pg_catalog.jsonb_build_object(
    'clock', (select pg_catalog.max(k.newest_at) from public.detector_keys k),
    'keys', coalesce((
      select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(k) - 'token') from public.detector_keys k natural join wanted w where not w.held), '[]'),
    'detectors', coalesce((
      select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
        'entity', d.entity, 'entity_type', d.entity_type, 'event_type', d.event_type,
        'series', d.series, 'method', d.method, 'basis', d.basis, 'country', d.country, 'state', d.state))
      from public.detectors d natural join wanted w where not w.held), '[]'),
    'inputs', coalesce((
      select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(i) order by i.id)
      from public.detector_inputs i natural join wanted where not i.applied), '[]'),
    'rebuilds', coalesce((
      select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(w) - 'held') from wanted w natural join public.rebuilds r where r.state = 'queued'), '[]'),
    'episodes', coalesce((
      select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(h)) from public.hotspots h
      join wanted w on w.entity = h.entity and w.entity_type = h.entity_type and w.event_type = h.event_type
      where h.status = 'active'), '[]'),
    'suppliers', coalesce((
      select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(s)) from public.suppliers s
      where s.supplier_id in (select w.entity from wanted w)), '[]'))
$$;

-- As before, but up to 2000 events, of keys that this lease has written no state, and JSON as text: taking apart and putting together
-- what is only passed on was half of the claim.
drop function public.claim_events(uuid, bigint, int, int, int);
create function public.claim_events(holder uuid, token bigint, lease_seconds int, size int, max_bytes int) returns json
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
      order by q.event_id limit least(greatest(size, 1), 2000)
    ), measured as materialized (
      select e.id, coalesce(pg_catalog.octet_length(e.source_key), 0) + pg_catalog.octet_length(e.supplier_id)
        + coalesce(pg_catalog.octet_length(e.vehicle_type), 0) + coalesce(pg_catalog.octet_length(e.fuel_type), 0)
        + coalesce(pg_catalog.octet_length(e.route_id), 0) + coalesce(pg_catalog.octet_length(e.warehouse_id), 0)
        + coalesce(pg_catalog.octet_length(e.factory_id), 0) as octets
      from public.events_normalized e join pending p on p.event_id = e.id
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
      select e.id, e.supplier_id, e.event_type, pg_catalog.json_strip_nulls(pg_catalog.row_to_json(e))::text as event
      from public.events_normalized e join narrow n on n.id = e.id
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
  'Claims up to 2000 pending events in order of arrival, at most max_bytes of JSON (one at least), and renews the lease. Without the state of keys that were written under this lease.';
revoke execute on function public.claim_events(uuid, bigint, int, int, int) from public, anon, authenticated, service_role;
grant execute on function public.claim_events(uuid, bigint, int, int, int) to service_role;

-- Predictions by column: texts of arrays with one entry for each event, `scopes` and `inputs` as JSON, and for what many have in common
-- `kinds`, rows that `kind` counts from 1. `day` counts from 1 January 1970.
create function public.write_computed(computed jsonb) returns int
language plpgsql set search_path = '' as $$
declare
  written int;
begin
  insert into public.predictions as old (event_id, model_version, factor_set, factors_sha256, entity, entity_type, event_type, predicted_co2,
    kg_ttw, kg_wtt, kg_model, kg_biogenic, scopes, method, factor_ids, grid_country, grid_year, grid_basis, vehicle_class, kg_per_km,
    activity, activity_basis, inputs, flags, dq, estimated, in_range, hotspot,
    occurred_at, day, expected_kg, spread)
  select e.event_id, k.model_version, k.factor_set, k.factors_sha256, k.entity, k.entity_type, k.event_type, e.predicted_co2,
    e.kg_ttw, e.kg_wtt, e.kg_model, e.kg_biogenic, e.scopes, k.method, k.factor_ids, k.grid_country, k.grid_year, k.grid_basis,
    k.vehicle_class, k.kg_per_km, e.activity, k.activity_basis, e.inputs, k.flags, k.dq, k.estimated, k.in_range, e.hotspot,
    e.occurred_at, '1970-01-01'::date + e.day, e.expected_kg, e.spread
  from rows from (
    unnest((computed ->> 'event_id')::bigint[]), unnest((computed ->> 'kind')::int[]), unnest((computed ->> 'occurred_at')::timestamptz[]),
    unnest((computed ->> 'day')::int[]), unnest((computed ->> 'hotspot')::boolean[]), unnest((computed ->> 'expected_kg')::double precision[]),
    unnest((computed ->> 'spread')::real[]), unnest((computed ->> 'predicted_co2')::double precision[]),
    unnest((computed ->> 'kg_ttw')::double precision[]), unnest((computed ->> 'kg_wtt')::double precision[]),
    unnest((computed ->> 'kg_model')::double precision[]), unnest((computed ->> 'kg_biogenic')::double precision[]),
    unnest((computed ->> 'activity')::double precision[]),
    pg_catalog.jsonb_array_elements(computed -> 'scopes'), pg_catalog.jsonb_array_elements(computed -> 'inputs')
  ) as e(event_id, kind, occurred_at, day, hotspot, expected_kg, spread, predicted_co2, kg_ttw, kg_wtt, kg_model, kg_biogenic, activity,
    scopes, inputs)
  join rows from (pg_catalog.jsonb_populate_recordset(null::public.predictions, computed -> 'kinds')) with ordinality k
    on k.ordinality = e.kind
  on conflict on constraint predictions_pkey do update set
    model_version = excluded.model_version, factors_sha256 = excluded.factors_sha256, predicted_co2 = excluded.predicted_co2,
    kg_ttw = excluded.kg_ttw, kg_wtt = excluded.kg_wtt, kg_model = excluded.kg_model, kg_biogenic = excluded.kg_biogenic,
    scopes = excluded.scopes, method = excluded.method, factor_ids = excluded.factor_ids, grid_country = excluded.grid_country,
    grid_year = excluded.grid_year, grid_basis = excluded.grid_basis, vehicle_class = excluded.vehicle_class, kg_per_km = excluded.kg_per_km,
    activity = excluded.activity, activity_basis = excluded.activity_basis, inputs = excluded.inputs, flags = excluded.flags,
    dq = excluded.dq, estimated = excluded.estimated, in_range = excluded.in_range, hotspot = excluded.hotspot,
    occurred_at = coalesce(excluded.occurred_at, old.occurred_at), day = coalesce(excluded.day, old.day),
    expected_kg = excluded.expected_kg, spread = excluded.spread, superseded_at = null;
  get diagnostics written = row_count;
  return written;
end $$;
comment on function public.write_computed(jsonb) is 'Part of commit_batch.';
revoke execute on function public.write_computed(jsonb) from public, anon, authenticated, service_role;
grant execute on function public.write_computed(jsonb) to service_role;

-- As before, with predictions by column beside those by row.
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
