-- A statement is planned with a copy of each parameter for each place that names it. So parts of a batch are taken out of its megabyte
-- before they get into a statement.
create or replace function public.commit_batch(jsonb) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '30s' as $$
declare
  result constant jsonb := $1 -> 'result';
  given_events constant jsonb := result -> 'events';
  given_quarantined constant jsonb := result -> 'quarantined';
  given_failed constant jsonb := result -> 'failed';
  given_suppliers constant jsonb := result -> 'suppliers';
  given_periods constant jsonb := result -> 'periods';
  given_predictions constant jsonb := result -> 'predictions';
  claimed public.batches;
  counts jsonb;
  done int;
  failed int;
  quarantined int;
  computed int;
begin
  perform public.hold_lease(($1 ->> 'holder')::uuid, ($1 ->> 'token')::bigint);
  select b.* into claimed from public.batches b where b.id = ($1 ->> 'batch')::uuid for update;
  if not found then
    raise sqlstate 'PT409' using message = pg_catalog.format('batch %s is unknown', $1 ->> 'batch'), hint = 'events';
  end if;
  if claimed.result is not null then
    return claimed.result;
  end if;

  -- Completion: every event of the batch is done, quarantined or failed, and still belongs to it.
  delete from public.event_queue q using pg_catalog.jsonb_array_elements_text(given_events) e
  where q.event_id = e::bigint and q.event_id <@ claimed.claimed;
  get diagnostics done = row_count;
  with held as (
    delete from public.event_queue q using pg_catalog.jsonb_to_recordset(given_quarantined) as r(event_id bigint)
    where q.event_id = r.event_id and q.event_id <@ claimed.claimed returning q.event_id
  )
  insert into public.quarantine as old (event_id, entity, event_type, kind, reason, column_name, raw_value)
  select e.id, e.supplier_id, e.event_type, r.kind, pg_catalog.left(r.reason, 1000), r.column_name, pg_catalog.left(r.raw_value, 1000)
  from pg_catalog.jsonb_to_recordset(given_quarantined) as r(event_id bigint, kind text, reason text, column_name text, raw_value text)
  join held h on h.event_id = r.event_id join public.events_normalized e on e.id = r.event_id
  on conflict (event_id) do update set state = 'held', kind = excluded.kind, reason = excluded.reason,
    column_name = excluded.column_name, raw_value = excluded.raw_value, created_at = pg_catalog.now(), decided_at = null;
  get diagnostics quarantined = row_count;
  update public.event_queue q set
    attempts = q.attempts + 1, last_error = f.error,
    state = case when f.dead or q.attempts >= 2 then 'dead' else 'pending' end,
    claimed_until = case when f.dead or q.attempts >= 2 then null
      else pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => 30 * (q.attempts + 1)) end
  from pg_catalog.jsonb_to_recordset(given_failed) as f(event_id bigint, error text, dead boolean)
  where q.event_id = f.event_id and q.event_id <@ claimed.claimed;
  get diagnostics failed = row_count;
  if done + quarantined + failed <> claimed.events
    or done <> coalesce(pg_catalog.jsonb_array_length(given_events), 0)
    or quarantined <> coalesce(pg_catalog.jsonb_array_length(given_quarantined), 0)
    or failed <> coalesce(pg_catalog.jsonb_array_length(given_failed), 0)
  then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('batch %s has %s events, %s would be completed, %s quarantined and %s set aside',
        claimed.id, claimed.events, done, quarantined, failed),
      hint = 'events';
  end if;

  -- What a person set meanwhile stays.
  insert into public.suppliers as old (supplier_id, vehicle_class, vehicle_class_origin, loads, largest_load_kg)
  select s.supplier_id, s.vehicle_class, s.vehicle_class_origin, s.loads, s.largest_load_kg
  from pg_catalog.jsonb_to_recordset(given_suppliers) as s(supplier_id text, vehicle_class text, vehicle_class_origin text,
    loads int, largest_load_kg double precision)
  on conflict (supplier_id) do update set
    loads = excluded.loads, largest_load_kg = excluded.largest_load_kg,
    vehicle_class = coalesce(old.vehicle_class, excluded.vehicle_class),
    vehicle_class_origin = coalesce(old.vehicle_class_origin, excluded.vehicle_class_origin), updated_at = pg_catalog.clock_timestamp();

  perform public.write_periods(given_periods);
  perform public.write_predictions(given_predictions);
  computed := public.write_computed(result -> 'computed');

  counts := pg_catalog.jsonb_build_object(
    'events', done, 'quarantined', quarantined, 'failed', failed,
    'predictions', coalesce(pg_catalog.jsonb_array_length(given_predictions), 0) + computed) || public.write_findings(result);
  update public.batches b set result = counts, claimed = null, committed_at = pg_catalog.clock_timestamp() where b.id = claimed.id;
  return counts;
end $$;

create or replace function public.write_findings(findings jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  given_heard constant jsonb := findings -> 'heard';
  given_replayed constant jsonb := findings -> 'replayed';
  given_anew constant jsonb := findings -> 'anew';
  given_detectors constant jsonb := findings -> 'detectors';
  given_keys constant jsonb := findings -> 'keys';
  given_inputs constant jsonb := findings -> 'inputs';
  given_notices constant jsonb := findings -> 'notices';
  given_rebuilds constant jsonb := findings -> 'rebuilds';
  given_episodes constant jsonb := findings -> 'episodes';
  given_alerts constant jsonb := findings -> 'alerts';
  given_advised constant jsonb := findings -> 'advised';
  given_recommendations constant jsonb := findings -> 'recommendations';
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
  from pg_catalog.jsonb_array_elements_text(given_heard) h where i.id = h::bigint;
  get diagnostics changed = row_count;
  perform from public.detector_inputs i
  where i.id in (select r::bigint from pg_catalog.jsonb_array_elements_text(given_replayed) r) for key share;
  get diagnostics expected = row_count;
  changed := changed + expected;
  expected := coalesce(pg_catalog.jsonb_array_length(given_heard), 0) + coalesce(pg_catalog.jsonb_array_length(given_replayed), 0);
  if changed <> expected then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('%s of %s words were taken back since they were read', expected - changed, expected), hint = 'episode';
  end if;
  delete from public.detectors d
  using pg_catalog.jsonb_to_recordset(given_anew) as k(entity text, entity_type text, event_type text)
  where d.entity = k.entity and d.entity_type = k.entity_type and d.event_type = k.event_type;
  insert into public.detectors as old (entity, entity_type, event_type, series, method, basis, country, learned, usual, spread, newest_at, state)
  select d.entity, d.entity_type, d.event_type, d.series, d.method, d.basis, d.country, d.learned, d.usual, d.spread, d.newest_at, d.state
  from pg_catalog.jsonb_to_recordset(given_detectors) as d(entity text, entity_type text, event_type text, series text, method text,
    basis text, country text, learned int, usual double precision, spread double precision, newest_at timestamptz, state jsonb)
  on conflict on constraint detectors_pkey do update set
    learned = excluded.learned, usual = excluded.usual, spread = excluded.spread, newest_at = excluded.newest_at,
    state = excluded.state, updated_at = pg_catalog.clock_timestamp();
  insert into public.detector_keys as old (entity, entity_type, event_type, newest_at, due_at, late, state)
  select k.entity, k.entity_type, k.event_type, k.newest_at, k.due_at, k.late, k.state
  from pg_catalog.jsonb_to_recordset(given_keys) as k(entity text, entity_type text, event_type text, newest_at timestamptz,
    due_at timestamptz, late int, state jsonb)
  on conflict on constraint detector_keys_pkey do update set
    newest_at = excluded.newest_at, due_at = excluded.due_at, late = excluded.late, state = excluded.state;
  insert into public.detector_inputs (entity, entity_type, event_type, kind, at, after_event, applied)
  select i.entity, i.entity_type, i.event_type, 'silence', i.at, (
    select pg_catalog.max(p.event_id) from public.predictions p
    where p.entity = i.entity and p.entity_type = i.entity_type and p.event_type = i.event_type), true
  from pg_catalog.jsonb_to_recordset(given_inputs) as i(entity text, entity_type text, event_type text, at timestamptz);
  insert into public.notices (entity, entity_type, event_type, kind, message, event_id, occurred_at)
  select n.entity, n.entity_type, n.event_type, n.kind, pg_catalog.left(n.message, 1000), n.event_id, n.occurred_at
  from pg_catalog.jsonb_to_recordset(given_notices) as n(entity text, entity_type text, event_type text, kind text, message text,
    event_id bigint, occurred_at timestamptz);
  perform public.request_rebuild(r.entity, r.entity_type, r.event_type, r.reason)
  from pg_catalog.jsonb_to_recordset(given_rebuilds) as r(entity text, entity_type text, event_type text, reason text);

  -- In the order in which people's decisions lock them.
  perform from public.hotspots h
  where h.id in (select (e ->> 'id')::bigint from pg_catalog.jsonb_array_elements(given_episodes) e) order by h.id for update;
  -- Known episodes first: one that resolves makes room for the one that opens after it.
  update public.hotspots h set
    predicted_co2 = e.predicted_co2, baseline_co2 = e.baseline_co2, percent_above = e.percent_above, severity = e.severity,
    peak_severity = coalesce(e.peak_severity, e.severity), status = e.status, event_id = e.event_id, phase = e.phase, series = e.series,
    rule = e.rule, excess_kg = e.excess_kg, reason = pg_catalog.left(e.reason, 1000), occurred_at = e.occurred_at,
    last_seen_at = e.last_seen_at, drivers = e.drivers, announced = e.announced, resolution = e.resolution,
    resolved_at = case when e.status = 'resolved' then pg_catalog.clock_timestamp() else h.resolved_at end
  from pg_catalog.jsonb_populate_recordset(null::public.hotspots, given_episodes) e
  where h.id = e.id and h.version = e.version and h.status = 'active';
  get diagnostics changed = row_count;
  expected := (select pg_catalog.count(*) from pg_catalog.jsonb_array_elements(given_episodes) e where e ->> 'id' is not null);
  if changed <> expected then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('%s of %s episodes changed since they were read', expected - changed, expected), hint = 'episode';
  end if;
  -- Ids of new episodes are drawn first, so that alerts and recommendations find theirs by ref.
  select coalesce(pg_catalog.jsonb_object_agg(
    e.ref, coalesce(e.id, pg_catalog.nextval(pg_catalog.pg_get_serial_sequence('public.hotspots', 'id')))), '{}')
  into refs from (
    select * from pg_catalog.jsonb_to_recordset(given_episodes) as e(ref int, id bigint) order by ref) e;
  insert into public.hotspots (id, entity, entity_type, event_type, predicted_co2, baseline_co2, percent_above, severity, peak_severity,
    status, event_id, phase, series, rule, excess_kg, reason, occurred_at, last_seen_at, drivers, announced, resolution, resolved_at,
    previous_id)
  overriding system value
  select n.id, r.entity, r.entity_type, r.event_type, r.predicted_co2, r.baseline_co2, r.percent_above,
    r.severity, coalesce(r.peak_severity, r.severity), r.status, r.event_id, r.phase, r.series, r.rule, r.excess_kg,
    pg_catalog.left(r.reason, 1000), r.occurred_at, r.last_seen_at, r.drivers, r.announced, r.resolution,
    case when r.status = 'resolved' then pg_catalog.clock_timestamp() end,
    case when n.reopens then coalesce(
      pg_catalog.lag(n.id) over (partition by r.entity, r.entity_type, r.event_type order by n.id), (
      select pg_catalog.max(f.id) from public.hotspots f
      where f.entity = r.entity and f.entity_type = r.entity_type and f.event_type = r.event_type and f.id < n.id)) end
  from (
    select (refs ->> (e.part ->> 'ref'))::bigint as id, (e.part ->> 'reopens')::boolean as reopens, e.part
    from pg_catalog.jsonb_array_elements(given_episodes) as e(part) where e.part ->> 'id' is null) n,
    lateral pg_catalog.jsonb_populate_record(null::public.hotspots, n.part) r
  order by n.id
  on conflict (entity, entity_type, event_type) where status = 'active' do nothing;
  get diagnostics changed = row_count;
  expected := coalesce(pg_catalog.jsonb_array_length(given_episodes), 0) - expected;
  if changed <> expected then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('%s of %s new episodes are open already', expected - changed, expected), hint = 'episode';
  end if;

  select coalesce(pg_catalog.jsonb_agg(
    e.part || pg_catalog.jsonb_build_object('hotspot', refs -> (e.part ->> 'ref')) order by e.n), '[]')
  into proposed from pg_catalog.jsonb_array_elements(given_alerts) with ordinality as e(part, n);
  told := public.write_alerts(proposed, (findings ->> 'now')::timestamptz, (findings ->> 'cooldown_seconds')::double precision);
  perform public.write_advice(refs, given_advised, given_recommendations);

  select pg_catalog.jsonb_build_object(
    'opened', pg_catalog.count(*) filter (where e ->> 'id' is null),
    'updated', pg_catalog.count(*) filter (where e ->> 'id' is not null),
    'resolved', pg_catalog.count(*) filter (where e ->> 'status' = 'resolved'),
    'alerts', told,
    'notices', coalesce(pg_catalog.jsonb_array_length(given_notices), 0),
    'rebuilds', coalesce(pg_catalog.jsonb_array_length(given_rebuilds), 0),
    'recommendations', coalesce(pg_catalog.jsonb_array_length(given_recommendations), 0))
  into counts from pg_catalog.jsonb_array_elements(given_episodes) e;
  return counts;
end $$;

create or replace function public.write_computed(computed jsonb) returns int
language plpgsql set search_path = '' as $$
declare
  ids constant bigint[] := computed ->> 'event_id';
  first constant boolean := not exists (
    select from public.predictions p where p.event_id between
      (select pg_catalog.min(i) from pg_catalog.unnest(ids) i) and (select pg_catalog.max(i) from pg_catalog.unnest(ids) i));
  written int;
begin
  perform pg_catalog.set_config('hotspots.first_predictions', case when first then 'on' else 'off' end, true);
  execute $statement$
    insert into public.predictions as old (event_id, model_version, factor_set, factors_sha256, entity, entity_type, event_type,
      predicted_co2, kg_ttw, kg_wtt, kg_model, kg_biogenic, scopes, method, factor_ids, grid_country, grid_year, grid_basis, vehicle_class,
      kg_per_km, activity, activity_basis, inputs, flags, dq, estimated, in_range, hotspot, occurred_at, day, expected_kg, spread)
    select e.event_id, k.model_version, k.factor_set, k.factors_sha256, k.entity, k.entity_type, k.event_type,
      e.predicted_co2, e.kg_ttw, e.kg_wtt, e.kg_model, e.kg_biogenic, e.scopes, k.method, k.factor_ids, k.grid_country, k.grid_year,
      k.grid_basis, k.vehicle_class, k.kg_per_km, e.activity, k.activity_basis, e.inputs, k.flags, k.dq, k.estimated, k.in_range, e.hotspot,
      e.occurred_at, '1970-01-01'::date + e.day, e.expected_kg, e.spread
    from rows from (
      unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7), unnest($8), unnest($9), unnest($10), unnest($11),
      unnest($12), unnest($13), pg_catalog.jsonb_array_elements($14), pg_catalog.jsonb_array_elements($15)
    ) as e(event_id, kind, occurred_at, day, hotspot, expected_kg, spread, predicted_co2, kg_ttw, kg_wtt, kg_model, kg_biogenic, activity,
      scopes, inputs)
    join rows from (pg_catalog.jsonb_populate_recordset(null::public.predictions, $16)) with ordinality k
      on k.ordinality = e.kind
    $statement$ || case when first then '' else $statement$
    on conflict on constraint predictions_pkey do update set
      model_version = excluded.model_version, factors_sha256 = excluded.factors_sha256, predicted_co2 = excluded.predicted_co2,
      kg_ttw = excluded.kg_ttw, kg_wtt = excluded.kg_wtt, kg_model = excluded.kg_model, kg_biogenic = excluded.kg_biogenic,
      scopes = excluded.scopes, method = excluded.method, factor_ids = excluded.factor_ids, grid_country = excluded.grid_country,
      grid_year = excluded.grid_year, grid_basis = excluded.grid_basis, vehicle_class = excluded.vehicle_class,
      kg_per_km = excluded.kg_per_km, activity = excluded.activity, activity_basis = excluded.activity_basis, inputs = excluded.inputs,
      flags = excluded.flags, dq = excluded.dq, estimated = excluded.estimated, in_range = excluded.in_range, hotspot = excluded.hotspot,
      occurred_at = coalesce(excluded.occurred_at, old.occurred_at), day = coalesce(excluded.day, old.day),
      expected_kg = excluded.expected_kg, spread = excluded.spread, superseded_at = null
    $statement$ end using
    ids,
    (computed ->> 'kind')::int[],
    (computed ->> 'occurred_at')::timestamptz[],
    (computed ->> 'day')::int[],
    (computed ->> 'hotspot')::boolean[],
    (computed ->> 'expected_kg')::double precision[],
    (computed ->> 'spread')::real[],
    (computed ->> 'predicted_co2')::double precision[],
    (computed ->> 'kg_ttw')::double precision[],
    (computed ->> 'kg_wtt')::double precision[],
    (computed ->> 'kg_model')::double precision[],
    (computed ->> 'kg_biogenic')::double precision[],
    (computed ->> 'activity')::double precision[],
    computed -> 'scopes', computed -> 'inputs', computed -> 'kinds';
  get diagnostics written = row_count;
  perform pg_catalog.set_config('hotspots.first_predictions', 'off', true);
  return written;
end $$;

-- Sums are not planned for statements that changed no row.
create or replace function public.total_days() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  -- An upsert fires the trigger of updates too.
  if tg_op = 'DELETE' then
    if not exists (select from old_rows) then
      return null;
    end if;
  elsif not exists (select from new_rows) then
    return null;
  end if;
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
