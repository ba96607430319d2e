-- What detectors have learned and what waits for the worker, for the summary of an import: a supplier is judged by detectors that
-- differ in method, basis and country, so a count of its events says nothing.

create index events_normalized_by_supplier on public.events_normalized (supplier_id, event_type);

create function public.learned_of(suppliers text[], most int) returns jsonb
language sql stable set search_path = '' as $$
  with waiting as materialized (
    select q.event_id from public.event_queue q join public.events_normalized e on e.id = q.event_id
    where q.state = 'pending' and e.supplier_id = any (learned_of.suppliers)
  )
  select pg_catalog.jsonb_build_object(
    'detectors', (
      select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
        'supplier_id', d.entity, 'event_type', d.event_type, 'series', d.series, 'method', d.method, 'basis', d.basis,
        'country', d.country, 'learned', d.learned,
        'days', (select pg_catalog.jsonb_agg(day::int) from pg_catalog.jsonb_object_keys(d.state::jsonb->'days') day),
        'closed', d.state->'closed')), '[]')
      from public.detectors d
      where d.entity = any (learned_of.suppliers) and d.entity_type = 'supplier' and (d.series = 'period') = (d.basis = 'none')),
    'pending', (
      select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_strip_nulls(pg_catalog.to_jsonb(e)) order by e.id), '[]')
      from public.events_normalized e
      where e.id in (select w.event_id from waiting w order by w.event_id limit learned_of.most)),
    'waiting', (select pg_catalog.count(*) from waiting))
$$;
comment on function public.learned_of(text[], int) is
  'What the detectors of these suppliers have learned, and up to so many of their events that wait for the worker. Called by ingest.';
revoke execute on function public.learned_of(text[], int) from public, anon, authenticated, service_role;
grant execute on function public.learned_of(text[], int) to service_role;
