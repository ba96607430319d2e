-- As before. Events are looked up one by one, whatever the planner knows of the tables: it read all of them for each claim. Their JSON is
-- put together from the columns that are given; a new column of events_normalized has to be named here as well. Up to 4000 instead of
-- 2000 events: detectors are stored once in a batch.
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
