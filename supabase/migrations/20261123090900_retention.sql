-- What keeps the tables from growing for ever: deletions, heartbeat rows and, where asked for, the audit log are pruned too.

-- A deletion that was pruned must not be missed in silence: whoever asks for changes since a snapshot that does not show all pruned
-- ones is told to start anew.
create table public.retention (
  one boolean primary key default true check (one),
  pruned_tx bigint not null default 0
);
comment on table public.retention is 'One row: what has been pruned.';
comment on column public.retention.pruned_tx is 'The newest transaction of which a row of deletions was pruned.';
insert into public.retention default values;
alter table public.retention enable row level security;
revoke all on public.retention from anon, authenticated, service_role;
grant select on public.retention to authenticated, relay_reader, service_role;
create policy "Who reads changes reads what is gone of them" on public.retention for select to authenticated, relay_reader using (true);

-- Only prune() looks for it, so a scan now and then is cheaper than an index that each deletion pays for.
alter table public.deletions add column deleted_at timestamptz not null default pg_catalog.clock_timestamp();

-- As before, but for the answer `expired` to a snapshot from before what was pruned. Who has nothing needs no deletions.
-- Rows are safe by upto alone, which leaves out what was written after it. STABLE is what makes the look at retention and the search
-- for deletions see the same: pruned in between, a deletion would be missed in silence.
create or replace function public.changes_since(
  since pg_snapshot,
  epoch text default null,
  upto pg_snapshot default null,
  after_tx bigint default 0,
  after_t int default 0,
  after_id bigint default 0,
  page int default 500
) returns jsonb
language plpgsql stable set search_path = '' set timezone = 'UTC'
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = off set jit = off as $$
declare
  here constant pg_catalog.pg_snapshot := pg_catalog.pg_current_snapshot();
  now_epoch text;
  lost boolean;
  above constant bigint := 9223372036854775807;
  hi pg_catalog.pg_snapshot := coalesce(upto, here);
  lo bigint;
  top bigint;
  running_lo bigint[];
  running_hi bigint[];
  changes jsonb;
begin
  -- On a standby a snapshot has no list of running transactions: such a cursor would lose rows for good.
  if pg_catalog.pg_is_in_recovery() then
    raise exception 'changes_since must run on the primary' using errcode = '25006';
  end if;
  now_epoch := public.relay_epoch();
  lost := since is not null
    and pg_catalog.pg_snapshot_xmin(since)::text::bigint <= (select r.pruned_tx from public.retention r);
  since := coalesce(since, '1:1:'::pg_catalog.pg_snapshot);
  if epoch is not null and epoch <> now_epoch then
    return pg_catalog.jsonb_build_object('epoch', now_epoch, 'snapshot', here::text, 'reset', 'epoch');
  end if;
  if greatest(pg_catalog.pg_snapshot_xmax(since), pg_catalog.pg_snapshot_xmax(hi)) > pg_catalog.pg_snapshot_xmax(here) then
    return pg_catalog.jsonb_build_object('epoch', now_epoch, 'snapshot', here::text, 'reset', 'future');
  end if;
  if lost then
    return pg_catalog.jsonb_build_object('epoch', now_epoch, 'snapshot', here::text, 'reset', 'expired');
  end if;
  page := least(greatest(page, 1), 5000);
  lo := pg_catalog.pg_snapshot_xmax(since)::text::bigint;
  top := pg_catalog.pg_snapshot_xmax(hi)::text::bigint;
  running_hi := array(select x::text::bigint from pg_catalog.pg_snapshot_xip(hi) x);
  running_lo := array(
    select x::text::bigint from pg_catalog.pg_snapshot_xip(since) x
    where x::text::bigint >= after_tx and x::text::bigint <> all (running_hi) and x::text::bigint < top);

  with keys as (
    select * from (
      (select 1 as t, tx, id, null::int as gone from public.hotspots
       where tx >= lo and tx < top and tx <> all (running_hi)
         and (tx, id) > (greatest(after_tx, lo - 1), case
           when after_tx < lo or after_t < 1 then -1 when after_t = 1 then after_id else above end)
       order by tx, id limit page)
      union all
      (select 2, tx, id, null from public.alerts
       where tx >= lo and tx < top and tx <> all (running_hi)
         and (tx, id) > (greatest(after_tx, lo - 1), case
           when after_tx < lo or after_t < 2 then -1 when after_t = 2 then after_id else above end)
       order by tx, id limit page)
      union all
      (select 3, tx, id, null from public.recommendations
       where tx >= lo and tx < top and tx <> all (running_hi)
         and (tx, id) > (greatest(after_tx, lo - 1), case
           when after_tx < lo or after_t < 3 then -1 when after_t = 3 then after_id else above end)
       order by tx, id limit page)
      union all
      (select t, tx, id, version from public.deletions
       where tx >= lo and tx < top and tx <> all (running_hi) and (tx, t, id) > (after_tx, after_t, after_id)
       order by tx, t, id limit page)
      union all
      select 1, found.* from unnest(running_lo) x cross join lateral (
        select h.tx, h.id, null::int from public.hotspots h
        where h.tx = x and (x > after_tx or (1, h.id) > (after_t, after_id)) order by h.id limit page) found
      union all
      select 2, found.* from unnest(running_lo) x cross join lateral (
        select a.tx, a.id, null::int from public.alerts a
        where a.tx = x and (x > after_tx or (2, a.id) > (after_t, after_id)) order by a.id limit page) found
      union all
      select 3, found.* from unnest(running_lo) x cross join lateral (
        select r.tx, r.id, null::int from public.recommendations r
        where r.tx = x and (x > after_tx or (3, r.id) > (after_t, after_id)) order by r.id limit page) found
      union all
      select found.t, found.tx, found.id, found.version from unnest(running_lo) x cross join lateral (
        select d.* from public.deletions d
        where d.tx = x and (x > after_tx or (d.t, d.id) > (after_t, after_id)) order by d.t, d.id limit page) found
    ) found
    order by tx, t, id limit page
  )
  select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
    't', k.t, 'tx', k.tx, 'id', k.id, 'deleted_version', k.gone,
    'record', case when k.gone is null then case k.t
      when 1 then (select pg_catalog.to_jsonb(h) from public.hotspots h where h.id = k.id)
      when 2 then (select pg_catalog.to_jsonb(a) from public.alerts a where a.id = k.id)
      else (select pg_catalog.to_jsonb(r) from public.recommendations r where r.id = k.id) end end
    ) order by k.tx, k.t, k.id), '[]')
  into changes from keys k;

  return pg_catalog.jsonb_build_object(
    'epoch', now_epoch, 'snapshot', hi::text,
    'more', pg_catalog.jsonb_array_length(changes) = page, 'rows', changes);
end $$;

-- Retention. Open episodes and events that wait stay, whatever their age; deletions of the three tables are announced like any change.
--
-- Definer: nobody but its trigger writes deletions, nobody but functions the audit log. Deletions go only when all transactions that
-- run are newer, so that every later snapshot shows them. Heartbeat rows stay for longer than any cursor that names them is honoured,
-- which is 30 days at most. Each call takes so much and no more, since hosted projects end a statement after 8 s.
drop function public.prune(interval);
create function public.prune(keep interval, keep_decisions interval default null) returns jsonb
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
  with gone as (
    delete from public.events_normalized where id in (
      select e.id from public.events_normalized e where e.created_at < horizon
        and not exists (select from public.event_queue q where q.event_id = e.id) limit 10000) returning 1
  ) select pg_catalog.count(*) into events from gone;
  with gone as (
    delete from public.hotspots where id in (
      select h.id from public.hotspots h where h.status <> 'active' and h.resolved_at < horizon limit 2000) returning 1
  ) select pg_catalog.count(*) into episodes from gone;
  with gone as (
    delete from public.deletions where (tx, t, id) in (
      select d.tx, d.t, d.id from public.deletions d where d.deleted_at < horizon and d.tx < running limit 20000) returning tx
  ) select pg_catalog.count(*), pg_catalog.max(gone.tx) into forgotten, newest from gone;
  update public.retention r set pruned_tx = newest where r.pruned_tx < newest;
  with gone as (
    delete from public.audit_log a where a.created_at < pg_catalog.now() - keep_decisions returning 1
  ) select pg_catalog.count(*) into decisions from gone;
  delete from public.scans s where s.finished_at < horizon;
  delete from public.batches b where b.claimed_at < horizon;
  delete from public.relay_heartbeats r where r.seen_at < least(horizon, pg_catalog.now() - interval '31 days');
  return pg_catalog.jsonb_build_object(
    'events', events, 'hotspots', episodes, 'deletions', forgotten, 'decisions', decisions);
end $$;
comment on function public.prune(interval, interval) is
  'Deletes worked-off events, resolved episodes with their alerts and recommendations, finished scans and the record of deletions older than keep, so many at once; decisions of people only when keep_decisions says so.';
revoke execute on function public.prune(interval, interval) from public, anon, authenticated, service_role;
grant execute on function public.prune(interval, interval) to service_role;

-- As before; what was pruned of another cluster's transactions means nothing here, and all cursors of before are void anyway.
create or replace function public.restamp() returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  here constant bigint := pg_catalog.pg_current_xact_id()::text::bigint;
  name text;
  done bigint;
  counts jsonb := '{}';
begin
  foreach name in array array['hotspots', 'alerts', 'recommendations', 'deletions'] loop
    execute pg_catalog.format('alter table public.%I disable trigger user', name);
    execute pg_catalog.format('update public.%I set tx = $1', name) using here;
    get diagnostics done = row_count;
    execute pg_catalog.format('alter table public.%I enable trigger user', name);
    counts := counts || pg_catalog.jsonb_build_object(name, done);
  end loop;
  update public.retention set pruned_tx = 0;
  return counts;
end $$;
