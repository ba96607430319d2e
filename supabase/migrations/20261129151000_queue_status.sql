-- While no worker lives the heartbeats say what waited when the last one died, and events go on arriving: so the queue itself is counted.

-- Definer: who may know how much waits may not read the queue. In the order of its index and up to a bound, so that it costs the same
-- two milliseconds however long the queue is; beyond the bound a worker's own count is better, if it is larger.
create or replace function public.worker_status() returns jsonb
language sql stable security definer set search_path = '' as $$
  select pg_catalog.jsonb_build_object(
    'age_seconds', extract(epoch from pg_catalog.clock_timestamp() - beats.seen_at),
    'last_scan_seconds', extract(epoch from pg_catalog.clock_timestamp() - beats.last_scan_at),
    'pending', case when waiting.events < 10000 then waiting.events else greatest(waiting.events, beats.pending) end,
    'oldest_pending_seconds', extract(epoch from pg_catalog.clock_timestamp() - waiting.since))
  from (select pg_catalog.max(w.seen_at) as seen_at, pg_catalog.max(w.last_scan_at) as last_scan_at,
      (pg_catalog.array_agg(w.pending order by w.seen_at desc))[1] as pending
    from public.worker_heartbeats w) as beats,
  (select pg_catalog.count(*) as events, (pg_catalog.array_agg(first.created_at order by first.event_id))[1] as since
    from (select q.event_id, q.created_at from public.event_queue q where q.state = 'pending' order by q.event_id limit 10000) as first
  ) as waiting
$$;
comment on function public.worker_status() is
  'How long ago a worker was last heard of and last had nothing left to do, null where none was here for a day; how many events wait, counted up to 10,000, and for how long the first.';
