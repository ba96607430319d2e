-- A worker that has died, or does not get to its work, looks like one that has nothing to do. So each of them keeps a row here.

-- Published: coming back over Realtime the row proves to the worker that its channel delivers, and it tells frontends that one lives.
create table public.worker_heartbeats (
  holder uuid primary key,
  started_at timestamptz not null default clock_timestamp(),
  seen_at timestamptz not null default clock_timestamp(),
  last_scan_at timestamptz,
  pending bigint not null,
  oldest_pending timestamptz,
  limits jsonb
);
comment on table public.worker_heartbeats is 'One row per worker, updated in place every 20 s and after each scan that did something; gone a day after the last time.';
comment on column public.worker_heartbeats.holder is 'What the worker calls itself in leases.';
comment on column public.worker_heartbeats.last_scan_at is 'When it last had nothing left to do.';
comment on column public.worker_heartbeats.pending is 'Events that wait to be worked off.';
comment on column public.worker_heartbeats.oldest_pending is 'When the first of them arrived.';
comment on column public.worker_heartbeats.limits is 'Ratios to the usual from which on it calls something info, warn and critical; null from workers of before.';
alter table public.worker_heartbeats enable row level security;
revoke all on public.worker_heartbeats from anon, authenticated, service_role;
grant select on public.worker_heartbeats to authenticated, relay_reader;
grant select, insert, update, delete on public.worker_heartbeats to service_role;
create policy "Signed-in users and relays see that a worker lives" on public.worker_heartbeats
  for select to authenticated, relay_reader using (true);
alter publication supabase_realtime add table public.worker_heartbeats;

create function public.worker_heartbeat(holder uuid, scanned_seconds double precision default null, limits jsonb default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
  here constant timestamptz := pg_catalog.clock_timestamp();
  beat public.worker_heartbeats;
begin
  insert into public.worker_heartbeats as row (holder, last_scan_at, pending, oldest_pending, limits)
  select worker_heartbeat.holder, here - pg_catalog.make_interval(secs => scanned_seconds),
    (select pg_catalog.count(*) from public.event_queue q where q.state = 'pending'),
    (select q.created_at from public.event_queue q where q.state = 'pending' order by q.event_id limit 1), worker_heartbeat.limits
  on conflict on constraint worker_heartbeats_pkey do update set seen_at = here,
    last_scan_at = coalesce(excluded.last_scan_at, row.last_scan_at),
    pending = excluded.pending, oldest_pending = excluded.oldest_pending, limits = coalesce(excluded.limits, row.limits)
  returning row.* into beat;
  delete from public.worker_heartbeats w where w.seen_at < here - interval '1 day';
  return pg_catalog.to_jsonb(beat);
end $$;
comment on function public.worker_heartbeat(uuid, double precision, jsonb) is
  'Records that a worker lives, that its last complete scan ended so many seconds ago (null: none since the last call), and its limits {info, warn, critical}.';
revoke execute on function public.worker_heartbeat(uuid, double precision, jsonb) from public, anon, authenticated, service_role;
grant execute on function public.worker_heartbeat(uuid, double precision, jsonb) to service_role;

-- Ages by the clock of the database: those of callers differ. Definer: who may know how much waits may not read the queue. Counted in
-- the order of its index and up to a bound, so that it costs the same two milliseconds however long the queue is; beyond the bound a
-- worker's own count is better, if it is larger.
create function public.worker_status() returns jsonb
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
revoke execute on function public.worker_status() from public, anon, authenticated, service_role;
grant execute on function public.worker_status() to authenticated, relay_reader, service_role;
