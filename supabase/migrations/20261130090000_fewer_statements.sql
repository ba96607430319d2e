-- What a batch led to comes as one JSON value: taken apart into named parameters it was read three times.
drop function public.commit_batch(uuid, bigint, uuid, jsonb);
create function public.commit_batch(jsonb) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '30s' as $$
declare
  result constant jsonb := $1 -> 'result';
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
comment on function public.commit_batch(jsonb) is
  'Writes all that a batch led to, in one transaction, once: repeated, it returns what the first call returned. {holder, token, batch, result}.';
revoke execute on function public.commit_batch(jsonb) from public, anon, authenticated, service_role;
grant execute on function public.commit_batch(jsonb) to service_role;

-- An alert is compared with those of its key that are to be written with it as well: so a statement, and the message that announces it,
-- takes all alerts of a batch, up to 100. An episode that opens and ends in the same batch ended a statement before.
drop function public.tells_alert(bigint, text, text, timestamptz, timestamptz, double precision);
create function public.tells_alert(
  hotspot bigint, kind text, level text, occurred_at timestamptz, at timestamptz, cooldown_seconds double precision, with_it jsonb
) returns boolean
language plpgsql set search_path = '' as $$
declare
  h public.hotspots;
  ends constant boolean := tells_alert.kind = 'resolved';
  since constant timestamptz := tells_alert.occurred_at - pg_catalog.make_interval(secs => coalesce(cooldown_seconds, 0));
begin
  select o.* into strict h from public.hotspots o where o.id = tells_alert.hotspot;
  if tells_alert.kind in ('resolved', 'deescalated') and not h.announced
    or tells_alert.kind in ('opened', 'reopened', 'resolved') and (
      exists (
        select from public.alerts a where a.hotspot_id = h.id
          and (a.kind = 'resolved') = ends and a.kind in ('opened', 'reopened', 'resolved'))
      or with_it is not null and exists (
        select from pg_catalog.jsonb_to_recordset(with_it) as a(hotspot bigint, kind text) where a.hotspot = h.id
          and (a.kind = 'resolved') = ends and a.kind in ('opened', 'reopened', 'resolved')))
    or public.is_silenced(h.entity, h.event_type, case when ends then h.peak_severity else tells_alert.level end,
      coalesce(tells_alert.at, pg_catalog.clock_timestamp()))
    or not ends and (
      exists (
        select from public.alerts a join public.hotspots o on o.id = a.hotspot_id
        where o.entity = h.entity and o.entity_type = h.entity_type and o.event_type = h.event_type
          and a.kind <> 'resolved' and a.level = tells_alert.level and a.occurred_at > since)
      or with_it is not null and exists (
        select from pg_catalog.jsonb_to_recordset(with_it) as a(kind text, level text, occurred_at timestamptz)
        where a.kind <> 'resolved' and a.level = tells_alert.level and a.occurred_at > since))
  then
    if tells_alert.kind in ('opened', 'reopened') and h.announced then
      update public.hotspots o set announced = false where o.id = h.id;
    end if;
    return false;
  end if;
  if not h.announced or tells_alert.kind = 'escalated' and h.acknowledged_at is not null then
    update public.hotspots o set announced = true,
      acknowledged_at = case tells_alert.kind when 'escalated' then null else o.acknowledged_at end
    where o.id = h.id;
  end if;
  return true;
end $$;
comment on function public.tells_alert(bigint, text, text, timestamptz, timestamptz, double precision, jsonb) is
  'Part of write_alerts: whether the alert of a transition is to be written, and notes that at the hotspot. with_it: alerts of the same key that are to be written with it, or null.';
revoke execute on function public.tells_alert(bigint, text, text, timestamptz, timestamptz, double precision, jsonb)
  from public, anon, authenticated, service_role;
grant execute on function public.tells_alert(bigint, text, text, timestamptz, timestamptz, double precision, jsonb) to service_role;

create or replace function public.write_alerts(proposals jsonb, at timestamptz, cooldown_seconds double precision) returns int
language plpgsql set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  proposed record;
  waiting jsonb[] := '{}';
  keys text[] := '{}';
  with_it jsonb;
  told int := 0;
begin
  for proposed in
    select e.part, a.hotspot, a.kind, a.level, coalesce(a.occurred_at, pg_catalog.clock_timestamp()) as occurred_at,
      pg_catalog.jsonb_build_array(h.entity, h.entity_type, h.event_type)::text as key
    from pg_catalog.jsonb_array_elements(proposals) with ordinality as e(part, n),
      lateral pg_catalog.jsonb_to_record(e.part) as a(hotspot bigint, kind text, level text, occurred_at timestamptz)
      join public.hotspots h on h.id = a.hotspot
    order by e.n
  loop
    if pg_catalog.cardinality(keys) = 100 then
      perform public.add_alerts(waiting);
      waiting := '{}';
      keys := '{}';
    end if;
    with_it := case when proposed.key = any(keys) then (
      select pg_catalog.jsonb_agg(w.part) from pg_catalog.unnest(waiting) with ordinality as w(part, n) where keys[w.n] = proposed.key) end;
    if public.tells_alert(
      proposed.hotspot, proposed.kind, proposed.level, proposed.occurred_at, at, cooldown_seconds, with_it)
    then
      told := told + 1;
      waiting := waiting || (proposed.part || pg_catalog.jsonb_build_object('occurred_at', proposed.occurred_at));
      keys := keys || proposed.key;
    end if;
  end loop;
  perform public.add_alerts(waiting);
  return told;
end $$;

-- The rate of an episode is put in as advice is written, instead of being changed right after it.
create function public.monthly_reduction_kg(h public.hotspots, co2_reduction double precision, former double precision)
returns double precision
language sql stable set search_path = '' as $$
  select case when pg_catalog.abs(fresh.month - former) > case when h.status = 'active' then 0.1 else 0 end * former
    then fresh.month else former end
  from (select pg_catalog.floor(
    100 * co2_reduction * public.monthly_excess_kg(h) / nullif(h.predicted_co2 - h.baseline_co2, 0)) / 100 as month) fresh
$$;
comment on function public.monthly_reduction_kg(public.hotspots, double precision, double precision) is
  'Part of write_advice: kg CO2e that advice can save in 30 days at the rate of the hotspot; what was said before while that is close.';
revoke execute on function public.monthly_reduction_kg(public.hotspots, double precision, double precision)
  from public, anon, authenticated, service_role;
grant execute on function public.monthly_reduction_kg(public.hotspots, double precision, double precision) to service_role;

create or replace function public.write_advice(refs jsonb, advised jsonb, advice jsonb) returns void
language sql set search_path = '' as $$
  delete from public.recommendations old
  where old.status = 'pending' and old.rule is not null
    and old.hotspot_id in (select (refs ->> e.ref)::bigint from pg_catalog.jsonb_array_elements_text(advised) as e(ref))
    and not exists (select from pg_catalog.jsonb_array_elements(advice) as a(part)
      where (refs ->> (a.part ->> 'ref'))::bigint = old.hotspot_id and a.part ->> 'source' = old.source and a.part ->> 'rule' = old.rule);
  insert into public.recommendations as old (hotspot_id, action, co2_reduction, root_cause, source, rule, driver, actual, usual, unit,
    co2_reduction_month)
  select h.id, r.action, r.co2_reduction, r.root_cause, r.source, r.rule, r.driver, r.actual, r.usual, r.unit,
    case when r.rule is null then r.co2_reduction_month else public.monthly_reduction_kg(h, r.co2_reduction, r.co2_reduction_month) end
  from pg_catalog.jsonb_array_elements(advice) with ordinality as a(part, n),
    lateral pg_catalog.jsonb_populate_record(null::public.recommendations, a.part) r, public.hotspots h
  where h.id = (refs ->> (a.part ->> 'ref'))::bigint
  order by a.n
  on conflict (hotspot_id, source, rule) where rule is not null do update set
    action = excluded.action, co2_reduction = excluded.co2_reduction, root_cause = excluded.root_cause, driver = excluded.driver,
    actual = excluded.actual, usual = excluded.usual, unit = excluded.unit, co2_reduction_month = excluded.co2_reduction_month
  where old.status = 'pending';
  update public.recommendations r set co2_reduction_month = fresh.month
  from (
    select o.id, o.co2_reduction_month as former, public.monthly_reduction_kg(h, o.co2_reduction, o.co2_reduction_month) as month
    from pg_catalog.jsonb_each_text(refs) e join public.hotspots h on h.id = e.value::bigint
      join public.recommendations o on o.hotspot_id = h.id
    where o.status = 'pending' and o.rule is not null) fresh
  where r.id = fresh.id and fresh.month <> fresh.former
$$;

-- A hotspot that opens anew points to the one before it from its first version on.
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
    from pg_catalog.jsonb_array_elements(findings -> 'episodes') as e(part) where e.part ->> 'id' is null) n,
    lateral pg_catalog.jsonb_populate_record(null::public.hotspots, n.part) r
  order by n.id
  on conflict (entity, entity_type, event_type) where status = 'active' do nothing;
  get diagnostics changed = row_count;
  expected := coalesce(pg_catalog.jsonb_array_length(findings -> 'episodes'), 0) - expected;
  if changed <> expected then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('%s of %s new episodes are open already', expected - changed, expected), hint = 'episode';
  end if;

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
