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
