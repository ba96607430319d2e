-- An event is read once to be claimed: its size is added up from the row that is then written out.
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
    ), measured as (
      select e.*, pg_catalog.count(*) filter (where e.octets <= widest) over arrived as place,
        pg_catalog.sum(e.octets) filter (where e.octets <= widest) over arrived as running
      from pending p cross join lateral (
        select e.*, coalesce(pg_catalog.octet_length(e.source_key), 0) + pg_catalog.octet_length(e.supplier_id)
            + coalesce(pg_catalog.octet_length(e.vehicle_type), 0) + coalesce(pg_catalog.octet_length(e.fuel_type), 0)
            + coalesce(pg_catalog.octet_length(e.route_id), 0) + coalesce(pg_catalog.octet_length(e.warehouse_id), 0)
            + coalesce(pg_catalog.octet_length(e.factory_id), 0) as octets
        from public.events_normalized e where e.id = p.event_id offset 0) e
      window arrived as (order by e.id rows unbounded preceding)
    ), serialised as materialized (
      select e.id, e.supplier_id, e.event_type, e.octets, case when e.octets <= widest and (e.running <= max_bytes or e.place = 1) then
        pg_catalog.concat('{"id":', e.id,
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
          ',"output_quantity":' || pg_catalog.to_json(e.output_quantity), ',"output_unit":' || pg_catalog.to_json(e.output_unit), '}') end as event
      from measured e
    ), wide as (
      insert into public.quarantine (event_id, entity, event_type, kind, reason)
      select e.id, e.supplier_id, e.event_type, 'size',
        pg_catalog.format('the event has %s bytes of text where at most %s are read', e.octets, widest)
      from serialised e where e.octets > widest
      on conflict (event_id) do update set state = 'held', kind = excluded.kind, reason = excluded.reason
      returning event_id
    ), unqueued as (
      delete from public.event_queue q using wide w where q.event_id = w.event_id returning 1
    ), sized as (
      select s.*, pg_catalog.sum(pg_catalog.octet_length(s.event)) over arrived as bytes, pg_catalog.row_number() over arrived as place
      from serialised s where s.event is not null
      window arrived as (order by s.id rows unbounded preceding)
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

-- Predictions of events that had none, as a batch brings them, supersede nothing and meet no row of their own: so neither is looked for.
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
      unnest($2), unnest(($1 ->> 'kind')::int[]), unnest(($1 ->> 'occurred_at')::timestamptz[]), unnest(($1 ->> 'day')::int[]),
      unnest(($1 ->> 'hotspot')::boolean[]), unnest(($1 ->> 'expected_kg')::double precision[]), unnest(($1 ->> 'spread')::real[]),
      unnest(($1 ->> 'predicted_co2')::double precision[]), unnest(($1 ->> 'kg_ttw')::double precision[]),
      unnest(($1 ->> 'kg_wtt')::double precision[]), unnest(($1 ->> 'kg_model')::double precision[]),
      unnest(($1 ->> 'kg_biogenic')::double precision[]), unnest(($1 ->> 'activity')::double precision[]),
      pg_catalog.jsonb_array_elements($1 -> 'scopes'), pg_catalog.jsonb_array_elements($1 -> 'inputs')
    ) as e(event_id, kind, occurred_at, day, hotspot, expected_kg, spread, predicted_co2, kg_ttw, kg_wtt, kg_model, kg_biogenic, activity,
      scopes, inputs)
    join rows from (pg_catalog.jsonb_populate_recordset(null::public.predictions, $1 -> 'kinds')) with ordinality k
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
    $statement$ end using computed, ids;
  get diagnostics written = row_count;
  perform pg_catalog.set_config('hotspots.first_predictions', 'off', true);
  return written;
end $$;

-- Sums of a day are added up as whole thousandths in doubles, which is exact up to 2^53 and takes a fraction of the time of decimals. What
-- is beyond that, or no number, is taken as it is.
create or replace function public.roll_up() returns trigger
language plpgsql security definer set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
  if tg_op = 'DELETE' then
    if coalesce(pg_catalog.current_setting('hotspots.pruning', true), '') = 'on' or not exists (select from old_rows) then
      return null;
    end if;
  elsif not exists (select from new_rows) then
    return null;
  elsif coalesce(pg_catalog.current_setting('hotspots.first_predictions', true), '') <> 'on' then
    update public.predictions o set superseded_at = pg_catalog.clock_timestamp() from new_rows n
    where o.event_id = n.event_id and o.factor_set <> n.factor_set and o.superseded_at is null and n.superseded_at is null;
  end if;
  execute pg_catalog.format($statement$
    insert into public.rollups as r (entity, entity_type, event_type, day, method, basis, country, dq, events, hot, estimated, judged, kg,
      kg_ttw, kg_wtt, judged_kg, expected_kg, activity, activity_kg, scope_1, scope_2, scope_3_1, scope_3_3, scope_3_4, scope_3_9, excess_kg)
    select s.*, case
      when p.since <= s.day and p.expected_kg is not null and p.kg > 0
      then round(s.kg * (1 - p.expected_kg / p.kg), 3) else s.judged_kg - s.expected_kg end
    from (
      select entity, entity_type, event_type, day, method, basis, country, dq, events, hot, estimated, judged,
        coalesce(case when abs(kg) < 9e15 then kg::bigint * 0.001 else (kg / 1000)::numeric end, 0) as kg,
        coalesce(case when abs(kg_ttw) < 9e15 then kg_ttw::bigint * 0.001 else (kg_ttw / 1000)::numeric end, 0) as kg_ttw,
        coalesce(case when abs(kg_wtt) < 9e15 then kg_wtt::bigint * 0.001 else (kg_wtt / 1000)::numeric end, 0) as kg_wtt,
        coalesce(case when abs(judged_kg) < 9e15 then judged_kg::bigint * 0.001 else (judged_kg / 1000)::numeric end, 0) as judged_kg,
        coalesce(case when abs(expected_kg) < 9e15 then expected_kg::bigint * 0.001 else (expected_kg / 1000)::numeric end, 0) as expected_kg,
        coalesce(case when abs(activity) < 9e15 then activity::bigint * 0.000001 else (activity / 1000000)::numeric end, 0) as activity,
        coalesce(case when abs(activity_kg) < 9e15 then activity_kg::bigint * 0.001 else (activity_kg / 1000)::numeric end, 0) as activity_kg,
        coalesce(case when abs(scope_1) < 9e15 then scope_1::bigint * 0.001 else (scope_1 / 1000)::numeric end, 0) as scope_1,
        coalesce(case when abs(scope_2) < 9e15 then scope_2::bigint * 0.001 else (scope_2 / 1000)::numeric end, 0) as scope_2,
        coalesce(case when abs(scope_3_1) < 9e15 then scope_3_1::bigint * 0.001 else (scope_3_1 / 1000)::numeric end, 0) as scope_3_1,
        coalesce(case when abs(scope_3_3) < 9e15 then scope_3_3::bigint * 0.001 else (scope_3_3 / 1000)::numeric end, 0) as scope_3_3,
        coalesce(case when abs(scope_3_4) < 9e15 then scope_3_4::bigint * 0.001 else (scope_3_4 / 1000)::numeric end, 0) as scope_3_4,
        coalesce(case when abs(scope_3_9) < 9e15 then scope_3_9::bigint * 0.001 else (scope_3_9 / 1000)::numeric end, 0) as scope_3_9
      from (
        select entity, entity_type, event_type, day, method, basis, country, dq, sum(sign) as events,
          coalesce(sum(sign) filter (where hotspot), 0) as hot, coalesce(sum(sign) filter (where estimated), 0) as estimated,
          coalesce(sum(sign) filter (where expected_kg is not null), 0) as judged, sum(kg) as kg, sum(kg_ttw) as kg_ttw,
          sum(kg_wtt) as kg_wtt, sum(kg) filter (where expected_kg is not null) as judged_kg, sum(expected_kg) as expected_kg,
          sum(activity) as activity, sum(kg) filter (where activity is not null) as activity_kg, sum(scope_1) as scope_1,
          sum(scope_2) as scope_2, sum(scope_3_1) as scope_3_1, sum(scope_3_3) as scope_3_3, sum(scope_3_4) as scope_3_4,
          sum(scope_3_9) as scope_3_9
        from (
          select c.entity, c.entity_type, c.event_type, c.day, coalesce(c.method, 'unknown') as method,
            coalesce(c.activity_basis, 'none') as basis, coalesce(c.grid_country, '') as country, coalesce(c.dq, 0) as dq, c.sign, c.hotspot,
            c.estimated, c.sign * round(c.predicted_co2 * 1000) as kg, c.sign * round(c.kg_ttw * 1000) as kg_ttw,
            c.sign * round(c.kg_wtt * 1000) as kg_wtt, c.sign * round(c.expected_kg * 1000) as expected_kg,
            c.sign * round(c.activity * 1000000) as activity,
            c.sign * round((c.scopes -> '1')::double precision * 1000) as scope_1,
            c.sign * round((c.scopes -> '2')::double precision * 1000) as scope_2,
            c.sign * round((c.scopes -> '3.1')::double precision * 1000) as scope_3_1,
            c.sign * round((c.scopes -> '3.3')::double precision * 1000) as scope_3_3,
            c.sign * round((c.scopes -> '3.4')::double precision * 1000) as scope_3_4,
            c.sign * round((c.scopes -> '3.9')::double precision * 1000) as scope_3_9
          from (%s) c where c.superseded_at is null and c.day is not null offset 0) changed
        group by 1, 2, 3, 4, 5, 6, 7, 8) summed
      order by 1, 2, 3, 4, 5, 6, 7, 8) s
    left join lateral (
      select p.since, p.hotspot, p.basis, p.expected_kg, p.kg from public.periods p
      where p.entity = s.entity and p.entity_type = s.entity_type and p.event_type = s.event_type
        and p.method = s.method and p.basis = s.basis and p.country = s.country and p.until >= s.day and (p.hotspot or p.basis = 'none')
      order by p.until limit 1) p on true
    on conflict on constraint rollups_pkey do update set
      events = r.events + excluded.events, hot = r.hot + excluded.hot, estimated = r.estimated + excluded.estimated,
      judged = r.judged + excluded.judged, kg = r.kg + excluded.kg, kg_ttw = r.kg_ttw + excluded.kg_ttw,
      kg_wtt = r.kg_wtt + excluded.kg_wtt, judged_kg = r.judged_kg + excluded.judged_kg,
      expected_kg = r.expected_kg + excluded.expected_kg, activity = r.activity + excluded.activity,
      activity_kg = r.activity_kg + excluded.activity_kg, scope_1 = r.scope_1 + excluded.scope_1,
      scope_2 = r.scope_2 + excluded.scope_2, scope_3_1 = r.scope_3_1 + excluded.scope_3_1,
      scope_3_3 = r.scope_3_3 + excluded.scope_3_3, scope_3_4 = r.scope_3_4 + excluded.scope_3_4,
      scope_3_9 = r.scope_3_9 + excluded.scope_3_9,
      excess_kg = public.excess_of(r.entity, r.entity_type, r.event_type, r.method, r.basis, r.country, r.day, r.kg + excluded.kg,
        r.judged_kg + excluded.judged_kg - r.expected_kg - excluded.expected_kg)
    $statement$, case tg_op
    when 'INSERT' then 'select 1 as sign, n.* from new_rows n'
    when 'DELETE' then 'select -1 as sign, o.* from old_rows o'
    else 'select 1 as sign, n.* from new_rows n union all select -1, o.* from old_rows o' end);
  if tg_op <> 'INSERT' then
    delete from public.rollups r where r.events = 0 and (r.entity, r.day) in (select o.entity, o.day from old_rows o);
  end if;
  return null;
end $$;
