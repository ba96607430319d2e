-- As before, with the floors of versions that rows which are put back go on after.
create or replace function public.prune(keep interval, keep_decisions interval default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  horizon constant timestamptz := pg_catalog.now() - keep;
  running constant bigint := pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text::bigint;
  events bigint;
  episodes bigint;
  decisions bigint;
  forgotten bigint;
  newest bigint;
begin
  if keep < interval '0' or keep_decisions < interval '0' then
    raise exception 'an age to keep cannot be negative' using errcode = '22023';
  end if;
  with kept as materialized (
    select d.*, coalesce((
      select p.event_id from public.predictions p
      where p.entity = d.entity and p.event_type = d.event_type and p.method = d.method
        and coalesce(p.activity_basis, 'none') = d.basis and coalesce(p.grid_country, '') = d.country
      order by p.event_id desc offset 399 limit 1), 0) as since
    from (select distinct entity, event_type, method, basis, country from public.detectors) d
  ), gone as (
    delete from public.events_normalized where id in (
      select e.id from public.events_normalized e where e.created_at < horizon
        and not exists (select from public.event_queue q where q.event_id = e.id)
        and not exists (
          select from public.predictions p join kept k on k.entity = p.entity and k.event_type = p.event_type and k.method = p.method
            and k.basis = coalesce(p.activity_basis, 'none') and k.country = coalesce(p.grid_country, '')
          where p.event_id = e.id and p.event_id >= k.since)
      limit 10000) returning 1
  ) select pg_catalog.count(*) into events from gone;
  with gone as (
    delete from public.hotspots where id in (
      select h.id from public.hotspots h where h.status <> 'active' and h.resolved_at < horizon limit 2000) returning 1
  ) select pg_catalog.count(*) into episodes from gone;
  with gone as (
    delete from public.deletions where (tx, t, id) in (
      select d.tx, d.t, d.id from public.deletions d where d.deleted_at < horizon and d.tx < running limit 20000)
    returning tx, t, id, version
  ), raised as (
    insert into public.version_floors as floor (t, id, version)
    select gone.t, pg_catalog.max(gone.id), pg_catalog.max(gone.version) from gone group by gone.t
    on conflict (t) do update set id = greatest(floor.id, excluded.id), version = greatest(floor.version, excluded.version)
  ) select pg_catalog.count(*), pg_catalog.max(gone.tx) into forgotten, newest from gone;
  update public.retention r set pruned_tx = newest where r.pruned_tx < newest;
  with gone as (
    delete from public.audit_log a where a.created_at < pg_catalog.now() - keep_decisions returning 1
  ) select pg_catalog.count(*) into decisions from gone;
  delete from public.notices n where n.created_at < horizon;
  delete from public.scans s where s.finished_at < horizon;
  delete from public.batches b where b.claimed_at < horizon;
  delete from public.relay_heartbeats r where r.seen_at < least(horizon, pg_catalog.now() - interval '31 days');
  return pg_catalog.jsonb_build_object(
    'events', events, 'hotspots', episodes, 'deletions', forgotten, 'decisions', decisions);
end $$;
comment on function public.prune(interval, interval) is
  'Deletes worked-off events but the newest 400 of each detector, resolved episodes with their alerts and recommendations, finished scans, notices and the record of deletions older than keep, so many at once; decisions of people only when keep_decisions says so.';
