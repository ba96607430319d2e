-- What the worker calls: take the lease, claim a batch, commit it in one transaction, give the lease back.
-- PostgREST answers PT409 with HTTP 409; the hint says what to do: lease (stop), episode (read batch_state and judge
-- again), events (claim again).

create table public.predictions (
  event_id bigint not null references public.events_normalized (id) on delete cascade,
  model_version text not null,
  entity text not null,
  entity_type text not null,
  event_type text not null,
  predicted_co2 double precision not null,
  estimated boolean not null,
  in_range boolean not null,
  hotspot boolean not null,
  created_at timestamptz not null default now(),
  primary key (event_id, model_version)
);
comment on table public.predictions is 'One row per event and model version. Written by the worker.';
comment on column public.predictions.predicted_co2 is 'kg CO2';
comment on column public.predictions.estimated is 'A missing input was estimated.';
comment on column public.predictions.in_range is 'Every input lay in its sane range.';
alter table public.predictions enable row level security;
revoke all on public.predictions from anon, authenticated, service_role;
grant select, insert, update, delete on public.predictions to service_role;

create table public.baselines (
  entity text not null,
  entity_type text not null,
  event_type text not null,
  median double precision not null,
  mad double precision not null,
  sample_size int not null,
  state text not null check (state in ('warming', 'ready')),
  samples double precision[] not null,
  normal_streak int not null,
  updated_at timestamptz not null default now(),
  primary key (entity, entity_type, event_type)
);
comment on table public.baselines is 'One row per (entity, entity_type, event_type): what is normal for it. Written by the worker.';
comment on column public.baselines.samples is 'kg CO2 of the last 50 events that were no hotspots, oldest first; median and mad are theirs.';
comment on column public.baselines.normal_streak is 'Normal events since the last hot one.';
alter table public.baselines enable row level security;
revoke all on public.baselines from anon, authenticated, service_role;
grant select on public.baselines to authenticated;
grant select, insert, update, delete on public.baselines to service_role;
create policy "Signed-in users read baselines" on public.baselines for select to authenticated using (true);

create table public.leases (
  name text primary key,
  holder uuid,
  token bigint not null default 0,
  until timestamptz not null default '-infinity'
);
comment on table public.leases is 'One row per lease: who holds it, its fencing token, until when.';
alter table public.leases enable row level security;
revoke all on public.leases from anon, authenticated, service_role;
grant select, insert, update, delete on public.leases to service_role;
insert into public.leases (name) values ('scan');

create table public.batches (
  id uuid primary key default gen_random_uuid(),
  token bigint not null,
  events int not null,
  claimed_at timestamptz not null default clock_timestamp(),
  committed_at timestamptz,
  result jsonb
);
comment on table public.batches is 'One row per claimed batch. Its result is returned again when the commit is repeated.';
alter table public.batches enable row level security;
revoke all on public.batches from anon, authenticated, service_role;
grant select, insert, update, delete on public.batches to service_role;

-- The lock on the lease row is what keeps two workers from committing; comparing tokens without it does not.
-- The clock is the wall clock: now() would be the start of a transaction that may have waited here.
create function public.hold_lease(holder uuid, token bigint) returns void
language plpgsql set search_path = '' as $$
declare
  lease public.leases;
begin
  select l.* into strict lease from public.leases l where l.name = 'scan' for update;
  if lease.token <> hold_lease.token or lease.holder is distinct from hold_lease.holder then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('the scan lease was lost: token %s, now %s', hold_lease.token, lease.token),
      hint = 'lease';
  end if;
end $$;
comment on function public.hold_lease(uuid, bigint) is 'Locks the lease until the end of the transaction, or raises when somebody else took it.';
revoke execute on function public.hold_lease(uuid, bigint) from public, anon, authenticated, service_role;
grant execute on function public.hold_lease(uuid, bigint) to service_role;

create function public.start_scan(holder uuid, lease_seconds int, reason text) returns jsonb
language plpgsql set search_path = '' as $$
declare
  former public.leases;
  lease public.leases;
  scan bigint;
begin
  select l.* into strict former from public.leases l where l.name = 'scan' for update;
  if former.until > pg_catalog.clock_timestamp() and former.holder <> start_scan.holder then
    return pg_catalog.jsonb_build_object('status', 'held', 'holder', former.holder, 'until', former.until);
  end if;
  if start_scan.reason = 'poll'
    and not exists (select from public.scans s where s.status in ('queued', 'running'))
    and not exists (
      select from public.event_queue q
      where q.state = 'pending' and (q.batch is not null or q.claimed_until is null or q.claimed_until <= pg_catalog.clock_timestamp()))
  then
    return pg_catalog.jsonb_build_object('status', 'idle');
  end if;
  update public.leases l set holder = start_scan.holder, token = l.token + 1,
    until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_seconds)
  where l.name = 'scan' returning l.* into lease;

  -- A holder that calls again, because the answer was lost or it came back in time, goes on with what it had started.
  update public.scans s set status = 'failed', error = 'its worker went away', finished_at = pg_catalog.clock_timestamp()
  where s.status = 'running' and (former.holder is distinct from start_scan.holder or s.token is distinct from former.token);
  with started as (
    update public.scans s set status = 'running', token = lease.token,
      started_at = coalesce(s.started_at, pg_catalog.clock_timestamp())
    where s.status in ('queued', 'running') returning s.id
  ) select pg_catalog.min(id) into scan from started;
  if scan is null then
    insert into public.scans (status, reason, token, started_at)
    values ('running', start_scan.reason, lease.token, pg_catalog.clock_timestamp()) returning id into scan;
  end if;
  return pg_catalog.jsonb_build_object('status', 'started', 'scan', scan, 'token', lease.token);
end $$;
comment on function public.start_scan(uuid, int, text) is
  'Takes the scan lease and starts every queued scan, or one of its own. Answers held while another holder has the lease, idle when reason is poll and there is no work.';
revoke execute on function public.start_scan(uuid, int, text) from public, anon, authenticated, service_role;
grant execute on function public.start_scan(uuid, int, text) to service_role;

create function public.batch_state(batch uuid) returns jsonb
language sql stable set search_path = '' as $$
  with keys as (
    select distinct e.supplier_id as entity, e.event_type
    from public.event_queue q join public.events_normalized e on e.id = q.event_id
    where q.batch = batch_state.batch
  )
  select pg_catalog.jsonb_build_object(
    'baselines', coalesce((
      select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(b)) from public.baselines b
      join keys k on k.entity = b.entity and k.event_type = b.event_type and b.entity_type = 'supplier'), '[]'),
    'episodes', coalesce((
      select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(h)) from public.hotspots h
      join keys k on k.entity = h.entity and k.event_type = h.event_type and h.entity_type = 'supplier'
      where h.status = 'active'), '[]'))
$$;
comment on function public.batch_state(uuid) is 'What a claimed batch is judged against: baselines and open episodes of its entities.';
revoke execute on function public.batch_state(uuid) from public, anon, authenticated, service_role;
grant execute on function public.batch_state(uuid) to service_role;

-- Whoever holds the lease works one batch at a time, so an uncommitted batch of before is given up here: its events are
-- claimed anew, and its late commit finds them gone. That makes a repeated claim safe.
create function public.claim_events(holder uuid, token bigint, lease_seconds int, size int, max_bytes int) returns jsonb
language plpgsql set search_path = '' as $$
declare
  new_batch constant uuid := pg_catalog.gen_random_uuid();
  new_until constant timestamptz := pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_seconds);
  claimed jsonb;
begin
  perform public.hold_lease(holder, token);
  update public.leases l set until = new_until where l.name = 'scan';
  update public.event_queue q set batch = null, claimed_until = null where q.batch is not null;
  with pending as (
    select q.event_id from public.event_queue q
    where q.state = 'pending' and (q.claimed_until is null or q.claimed_until <= pg_catalog.clock_timestamp())
    order by q.event_id limit least(greatest(size, 1), 500)
  ), sized as (
    select e.id, pg_catalog.to_jsonb(e) as event,
      pg_catalog.sum(pg_catalog.octet_length(pg_catalog.to_jsonb(e)::text)) over (order by e.id) as bytes,
      pg_catalog.row_number() over (order by e.id) as place
    from public.events_normalized e join pending p on p.event_id = e.id
  ), taken as (
    select id, event from sized where bytes <= max_bytes or place = 1
  ), marked as (
    update public.event_queue q set batch = new_batch, claimed_until = new_until
    from taken t where q.event_id = t.id
  )
  select pg_catalog.jsonb_agg(event order by id) into claimed from taken;
  if claimed is null then
    return pg_catalog.jsonb_build_object('batch', null, 'events', '[]'::jsonb, 'baselines', '[]'::jsonb, 'episodes', '[]'::jsonb);
  end if;
  insert into public.batches (id, token, events) values (new_batch, claim_events.token, pg_catalog.jsonb_array_length(claimed));
  return pg_catalog.jsonb_build_object('batch', new_batch, 'events', claimed) || public.batch_state(new_batch);
end $$;
comment on function public.claim_events(uuid, bigint, int, int, int) is
  'Claims up to 500 pending events in order of arrival, at most max_bytes of JSON (one at least), and renews the lease.';
revoke execute on function public.claim_events(uuid, bigint, int, int, int) from public, anon, authenticated, service_role;
grant execute on function public.claim_events(uuid, bigint, int, int, int) to service_role;

create function public.commit_batch(holder uuid, token bigint, batch uuid, result jsonb) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '30s' as $$
declare
  nothing constant jsonb := '{"events": [], "failed": [], "predictions": [], "baselines": [], "episodes": [], "alerts": [], "recommendations": []}';
  claimed public.batches;
  refs jsonb;
  counts jsonb;
  expected int;
  done int;
  failed int;
  changed int;
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

  -- Completion: every event of the batch is either done or failed, and still belongs to it.
  delete from public.event_queue q using pg_catalog.jsonb_array_elements_text(result -> 'events') e
  where q.event_id = e::bigint and q.batch = claimed.id;
  get diagnostics done = row_count;
  update public.event_queue q set
    attempts = q.attempts + 1, last_error = f.error, batch = null,
    state = case when f.dead or q.attempts >= 2 then 'dead' else 'pending' end,
    claimed_until = case when f.dead or q.attempts >= 2 then null
      else pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => 30 * (q.attempts + 1)) end
  from pg_catalog.jsonb_to_recordset(result -> 'failed') as f(event_id bigint, error text, dead boolean)
  where q.event_id = f.event_id and q.batch = claimed.id;
  get diagnostics failed = row_count;
  if done + failed <> claimed.events
    or done <> pg_catalog.jsonb_array_length(result -> 'events') or failed <> pg_catalog.jsonb_array_length(result -> 'failed')
  then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('batch %s has %s events, %s would be completed and %s set aside', claimed.id, claimed.events, done, failed),
      hint = 'events';
  end if;

  insert into public.predictions (event_id, model_version, entity, entity_type, event_type, predicted_co2, estimated, in_range, hotspot)
  select p.event_id, p.model_version, p.entity, p.entity_type, p.event_type, p.predicted_co2, p.estimated, p.in_range, p.hotspot
  from pg_catalog.jsonb_to_recordset(result -> 'predictions') as p(event_id bigint, model_version text, entity text, entity_type text,
    event_type text, predicted_co2 double precision, estimated boolean, in_range boolean, hotspot boolean)
  on conflict on constraint predictions_pkey do update set
    predicted_co2 = excluded.predicted_co2, estimated = excluded.estimated, in_range = excluded.in_range, hotspot = excluded.hotspot;

  insert into public.baselines as old (entity, entity_type, event_type, median, mad, sample_size, state, samples, normal_streak)
  select b.entity, b.entity_type, b.event_type, b.median, b.mad, b.sample_size, b.state, b.samples, b.normal_streak
  from pg_catalog.jsonb_to_recordset(result -> 'baselines') as b(entity text, entity_type text, event_type text, median double precision,
    mad double precision, sample_size int, state text, samples double precision[], normal_streak int)
  on conflict on constraint baselines_pkey do update set
    median = excluded.median, mad = excluded.mad, sample_size = excluded.sample_size, state = excluded.state,
    samples = excluded.samples, normal_streak = excluded.normal_streak, updated_at = pg_catalog.clock_timestamp();

  -- Known episodes first: one that resolves makes room for the one that opens after it.
  update public.hotspots h set
    predicted_co2 = e.predicted_co2, baseline_co2 = e.baseline_co2, percent_above = e.percent_above, severity = e.severity,
    status = e.status, event_id = e.event_id,
    resolved_at = case when e.status = 'resolved' then pg_catalog.clock_timestamp() else h.resolved_at end
  from pg_catalog.jsonb_to_recordset(result -> 'episodes') as e(id bigint, version int, predicted_co2 double precision,
    baseline_co2 double precision, percent_above double precision, severity text, status text, event_id bigint)
  where h.id = e.id and h.version = e.version and h.status = 'active';
  get diagnostics changed = row_count;
  expected := (select pg_catalog.count(*) from pg_catalog.jsonb_array_elements(result -> 'episodes') e where e ->> 'id' is not null);
  if changed <> expected then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('%s of %s episodes changed since they were read', expected - changed, expected), hint = 'episode';
  end if;
  -- Ids of new episodes are drawn first, so that alerts and recommendations find theirs by ref.
  select coalesce(pg_catalog.jsonb_object_agg(
    e.ref, coalesce(e.id, pg_catalog.nextval(pg_catalog.pg_get_serial_sequence('public.hotspots', 'id')))), '{}')
  into refs from pg_catalog.jsonb_to_recordset(result -> 'episodes') as e(ref int, id bigint);
  insert into public.hotspots (id, entity, entity_type, event_type, predicted_co2, baseline_co2, percent_above, severity, status, event_id, resolved_at)
  overriding system value
  select (refs ->> e.ref::text)::bigint, e.entity, e.entity_type, e.event_type, e.predicted_co2, e.baseline_co2, e.percent_above, e.severity,
    e.status, e.event_id, case when e.status = 'resolved' then pg_catalog.clock_timestamp() end
  from pg_catalog.jsonb_to_recordset(result -> 'episodes') as e(ref int, id bigint, entity text, entity_type text, event_type text,
    predicted_co2 double precision, baseline_co2 double precision, percent_above double precision, severity text, status text, event_id bigint)
  where e.id is null
  on conflict (entity, entity_type, event_type) where status = 'active' do nothing;
  get diagnostics changed = row_count;
  expected := pg_catalog.jsonb_array_length(result -> 'episodes') - expected;
  if changed <> expected then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('%s of %s new episodes are open already', expected - changed, expected), hint = 'episode';
  end if;

  insert into public.alerts (hotspot_id, kind, level, message)
  select (refs ->> a.ref::text)::bigint, a.kind, a.level, a.message
  from pg_catalog.jsonb_to_recordset(result -> 'alerts') as a(ref int, kind text, level text, message text);
  insert into public.recommendations (hotspot_id, action, co2_reduction, root_cause, source)
  select (refs ->> r.ref::text)::bigint, r.action, r.co2_reduction, r.root_cause, r.source
  from pg_catalog.jsonb_to_recordset(result -> 'recommendations') as r(ref int, action text, co2_reduction double precision,
    root_cause text, source text);

  select pg_catalog.jsonb_build_object(
    'events', done, 'failed', failed, 'predictions', pg_catalog.jsonb_array_length(result -> 'predictions'),
    'opened', pg_catalog.count(*) filter (where e ->> 'id' is null),
    'updated', pg_catalog.count(*) filter (where e ->> 'id' is not null),
    'resolved', pg_catalog.count(*) filter (where e ->> 'status' = 'resolved'),
    'alerts', pg_catalog.jsonb_array_length(result -> 'alerts'),
    'recommendations', pg_catalog.jsonb_array_length(result -> 'recommendations'))
  into counts from pg_catalog.jsonb_array_elements(result -> 'episodes') e;
  update public.batches b set result = counts, committed_at = pg_catalog.clock_timestamp() where b.id = claimed.id;
  return counts;
end $$;
comment on function public.commit_batch(uuid, bigint, uuid, jsonb) is
  'Writes all that a batch led to, in one transaction, once: repeated, it returns what the first call returned.';
revoke execute on function public.commit_batch(uuid, bigint, uuid, jsonb) from public, anon, authenticated, service_role;
grant execute on function public.commit_batch(uuid, bigint, uuid, jsonb) to service_role;
grant usage on sequence public.hotspots_id_seq to service_role;

create function public.finish_scan(holder uuid, token bigint, counts jsonb, error text default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
  finished jsonb;
begin
  -- Nobody took the lease since this token gave it back: the call is a repetition whose first answer was lost.
  if not exists (select from public.leases l where l.name = 'scan' and l.token = finish_scan.token and l.holder is null) then
    perform public.hold_lease(holder, token);
    update public.leases l set holder = null, until = '-infinity' where l.name = 'scan';
    update public.scans s set status = case when finish_scan.error is null then 'done' else 'failed' end,
      counts = finish_scan.counts, error = finish_scan.error, finished_at = pg_catalog.clock_timestamp()
    where s.status = 'running' and s.token = finish_scan.token;
  end if;
  select coalesce(pg_catalog.jsonb_agg(s.id order by s.id), '[]') into finished
  from public.scans s where s.token = finish_scan.token;
  return pg_catalog.jsonb_build_object('scans', finished);
end $$;
comment on function public.finish_scan(uuid, bigint, jsonb, text) is 'Ends the scans that start_scan started and gives the lease back; repeated, it returns the same.';
revoke execute on function public.finish_scan(uuid, bigint, jsonb, text) from public, anon, authenticated, service_role;
grant execute on function public.finish_scan(uuid, bigint, jsonb, text) to service_role;

create function public.retry_dead_events() returns int
language sql set search_path = '' as $$
  with retried as (
    update public.event_queue q set state = 'pending', attempts = 0, claimed_until = null
    where q.state = 'dead' returning 1
  ) select pg_catalog.count(*)::int from retried
$$;
comment on function public.retry_dead_events() is 'Makes every event that was set aside pending again and returns their number.';
revoke execute on function public.retry_dead_events() from public, anon, authenticated, service_role;
grant execute on function public.retry_dead_events() to service_role;

-- Retention. Open episodes and events that wait stay, whatever their age; deletions of the three tables are announced like any change.
create function public.prune(keep interval) returns jsonb
language plpgsql set search_path = '' as $$
declare
  horizon constant timestamptz := pg_catalog.now() - keep;
  events bigint;
  episodes bigint;
begin
  with gone as (
    delete from public.events_normalized e where e.created_at < horizon
      and not exists (select from public.event_queue q where q.event_id = e.id) returning 1
  ) select pg_catalog.count(*) into events from gone;
  with gone as (
    delete from public.hotspots h where h.status <> 'active' and h.resolved_at < horizon returning 1
  ) select pg_catalog.count(*) into episodes from gone;
  delete from public.scans s where s.finished_at < horizon;
  delete from public.batches b where b.claimed_at < horizon;
  return pg_catalog.jsonb_build_object('events', events, 'hotspots', episodes);
end $$;
comment on function public.prune(interval) is
  'Deletes worked-off events, resolved episodes with their alerts and recommendations, and finished scans older than keep.';
revoke execute on function public.prune(interval) from public, anon, authenticated, service_role;
grant execute on function public.prune(interval) to service_role;
create index events_created on public.events_normalized (created_at);
create index hotspots_resolved on public.hotspots (resolved_at) where status <> 'active';
