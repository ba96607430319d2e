-- What the relay needs: its heartbeat, and the reader's side of the stamps.

create table public.relay_heartbeats (
  instance uuid primary key,
  beat bigint not null,
  started_at timestamptz not null default now(),
  seen_at timestamptz not null default now()
);
comment on table public.relay_heartbeats is 'One row per relay instance, updated in place. Coming back over Realtime it proves that Realtime delivers.';
alter table public.relay_heartbeats enable row level security;
revoke all on public.relay_heartbeats from anon, authenticated, service_role;
grant select, insert, update, delete on public.relay_heartbeats to service_role;

create function public.relay_heartbeat(instance uuid, beat bigint) returns jsonb
language sql set search_path = '' as $$
  insert into public.relay_heartbeats as row (instance, beat)
  values (relay_heartbeat.instance, relay_heartbeat.beat)
  on conflict (instance) do update set beat = excluded.beat, seen_at = pg_catalog.clock_timestamp()
  returning pg_catalog.jsonb_build_object('instance', row.instance, 'beat', row.beat)
$$;
comment on function public.relay_heartbeat(uuid, bigint) is 'Records that a relay lives; the change travels back to it as its canary.';
revoke execute on function public.relay_heartbeat(uuid, bigint) from public, anon, authenticated, service_role;
grant execute on function public.relay_heartbeat(uuid, bigint) to service_role;

-- The system identifier changes with dump and restore and with pg_upgrade, the timeline of the WAL being written with
-- failover and point-in-time recovery. Raises on a standby.
create function public.relay_epoch() returns text
language sql stable set search_path = '' as $$
  select system_identifier || '.' || pg_catalog.substr(
    pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8)
  from pg_catalog.pg_control_system()
$$;
comment on function public.relay_epoch() is 'Names the history in which snapshots mean something; cursors of another epoch are void.';
revoke execute on function public.relay_epoch() from public, anon;
grant execute on function public.relay_epoch() to authenticated, service_role;

-- Everything that upto shows and since does not: the newest version of each changed row and each deletion, ordered by
-- (tx, table, id), one page at a time.
--
-- One jsonb, not a set: PostgREST cuts sets at 1,000 rows without a word. STABLE carries weight: every query inside sees
-- the snapshot that pg_current_snapshot() reports, a VOLATILE function would take a new one for each. Transactions that
-- were running in since are looked up one by one; a scan from its xmin would reread everything behind one long transaction.
create function public.changes_since(
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
  since := coalesce(since, '1:1:'::pg_catalog.pg_snapshot);
  if epoch is not null and epoch <> now_epoch then
    return pg_catalog.jsonb_build_object('epoch', now_epoch, 'snapshot', here::text, 'reset', 'epoch');
  end if;
  if greatest(pg_catalog.pg_snapshot_xmax(since), pg_catalog.pg_snapshot_xmax(hi)) > pg_catalog.pg_snapshot_xmax(here) then
    return pg_catalog.jsonb_build_object('epoch', now_epoch, 'snapshot', here::text, 'reset', 'future');
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
comment on function public.changes_since(pg_snapshot, text, pg_snapshot, bigint, int, bigint, int) is
  'Every newest row version and deletion that upto (default: now) shows and since does not. Pass upto and the last (tx, t, id) for the next page; the returned snapshot is the next since.';
revoke execute on function public.changes_since(pg_snapshot, text, pg_snapshot, bigint, int, bigint, int) from public, anon;
grant execute on function public.changes_since(pg_snapshot, text, pg_snapshot, bigint, int, bigint, int) to authenticated, service_role;

-- events_normalized is left out on purpose: its volume would trip Realtime's rate limit, which then drops everybody's changes.
do $$
begin
  if not exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
  end if;
end $$;
alter publication supabase_realtime add table
  public.hotspots, public.alerts, public.recommendations, public.scans, public.relay_heartbeats;
