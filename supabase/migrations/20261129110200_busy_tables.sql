-- A table that somebody has locked no longer holds back the changes of the others, and what a caller makes changes_since search for
-- is bounded.

-- As before, but a table that cannot be had within 100 ms is left out, and named in `busy`. Its changes are still to come, so whoever
-- goes on from `snapshot` alone, as all callers of before do, is given the `since` that it came with, and reads the others again.
-- Who keeps a place for each table goes on from `upto` for those that are not busy, and asks for `tables` with an older place apart.
--
-- A snapshot lists the transactions that were running, some thousands at the very most; longer lists are made up, and take long to search.
drop function public.changes_since(pg_snapshot, text, pg_snapshot, bigint, int, bigint, int);
create function public.changes_since(
  since pg_snapshot,
  epoch text default null,
  upto pg_snapshot default null,
  after_tx bigint default 0,
  after_t int default 0,
  after_id bigint default 0,
  page int default 500,
  tables int[] default null
) returns jsonb
language plpgsql stable set search_path = '' set timezone = 'UTC' set lock_timeout = '100ms'
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = off set jit = off as $$
declare
  here constant pg_catalog.pg_snapshot := pg_catalog.pg_current_snapshot();
  names constant text[] := array['hotspots', 'alerts', 'recommendations'];
  most_running constant int := 5000;
  now_epoch text;
  above constant bigint := 9223372036854775807;
  hi pg_catalog.pg_snapshot := coalesce(upto, here);
  lo bigint;
  top bigint;
  running_lo bigint[];
  running_hi bigint[];
  reset text;
  one int;
  part jsonb;
  busy int[] := '{}';
  changes jsonb := '[]';
begin
  -- On a standby a snapshot has no list of running transactions: such a cursor would lose rows for good.
  if pg_catalog.pg_is_in_recovery() then
    raise exception 'changes_since must run on the primary' using errcode = '25006';
  end if;
  if pg_catalog.cardinality(tables) = 0 or not tables operator(pg_catalog.<@) '{1,2,3}' then
    raise exception 'tables must be some of 1 (hotspots), 2 (alerts) and 3 (recommendations)' using errcode = '22023';
  end if;
  now_epoch := public.relay_epoch();
  if epoch <> now_epoch then
    reset := 'epoch';
  elsif greatest(pg_catalog.pg_snapshot_xmax(since), pg_catalog.pg_snapshot_xmax(hi)) > pg_catalog.pg_snapshot_xmax(here) then
    reset := 'future';
  elsif pg_catalog.pg_snapshot_xmin(since)::text::bigint <= (select r.pruned_tx from public.retention r) then
    reset := 'expired';
  end if;
  if reset is not null then
    return pg_catalog.jsonb_build_object('epoch', now_epoch, 'snapshot', here::text, 'upto', here::text, 'reset', reset);
  end if;
  since := coalesce(since, '1:1:'::pg_catalog.pg_snapshot);
  running_lo := array(select x::text::bigint from pg_catalog.pg_snapshot_xip(since) x limit most_running + 1);
  running_hi := array(select x::text::bigint from pg_catalog.pg_snapshot_xip(hi) x limit most_running + 1);
  if greatest(pg_catalog.cardinality(running_lo), pg_catalog.cardinality(running_hi)) > most_running then
    raise exception 'a snapshot may list % running transactions', most_running using errcode = '22023';
  end if;
  page := least(greatest(page, 1), 5000);
  lo := pg_catalog.pg_snapshot_xmax(since)::text::bigint;
  top := pg_catalog.pg_snapshot_xmax(hi)::text::bigint;
  running_lo := array(
    select x from pg_catalog.unnest(running_lo) x where x >= after_tx and x <> all (running_hi) and x < top);

  if tables is null then
    begin
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
    exception when lock_not_available then
      tables := '{1,2,3}';
    end;
  end if;

  -- A query waits for the locks of all tables that it names, so here each has one of its own: the same search.
  foreach one in array coalesce(tables, '{}') loop
    begin
      execute pg_catalog.format($search$
        with keys as (
          select * from (
            (select tx, id, null::int as gone from public.%1$I
             where tx >= $2 and tx < $3 and tx <> all ($4)
               and (tx, id) > (greatest($6, $2 - 1), case
                 when $6 < $2 or $7 < $1 then -1 when $7 = $1 then $8 else 9223372036854775807 end)
             order by tx, id limit $9)
            union all
            (select tx, id, version from public.deletions
             where tx >= $2 and tx < $3 and tx <> all ($4) and (tx, t, id) > ($6, $7, $8) and t = $1
             order by tx, t, id limit $9)
            union all
            select found.* from pg_catalog.unnest($5) x cross join lateral (
              select r.tx, r.id, null::int from public.%1$I r
              where r.tx = x and (x > $6 or ($1, r.id) > ($7, $8)) order by r.id limit $9) found
            union all
            select found.* from pg_catalog.unnest($5) x cross join lateral (
              select d.tx, d.id, d.version from public.deletions d
              where d.tx = x and d.t = $1 and (x > $6 or ($1, d.id) > ($7, $8)) order by d.id limit $9) found
          ) found
          order by tx, id limit $9
        )
        select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
          't', $1, 'tx', k.tx, 'id', k.id, 'deleted_version', k.gone,
          'record', case when k.gone is null then (select pg_catalog.to_jsonb(r) from public.%1$I r where r.id = k.id) end)), '[]')
        from keys k$search$, names[one])
      into part using one, lo, top, running_hi, running_lo, after_tx, after_t, after_id, page;
      changes := changes || part;
    exception when lock_not_available then
      busy := busy || one;
    end;
  end loop;
  if tables is not null then
    changes := (
      select coalesce(pg_catalog.jsonb_agg(c.change order by c.tx, c.t, c.id), '[]') from (
        select e.change, (e.change -> 'tx')::bigint as tx, (e.change -> 't')::int as t, (e.change -> 'id')::bigint as id
        from pg_catalog.jsonb_array_elements(changes) as e (change) order by tx, t, id limit page) c);
  end if;

  return pg_catalog.jsonb_build_object(
    'epoch', now_epoch, 'snapshot', case when busy = '{}' then hi else since end::text, 'upto', hi::text, 'busy', busy,
    'more', pg_catalog.jsonb_array_length(changes) = page, 'rows', changes);
end $$;
comment on function public.changes_since(pg_snapshot, text, pg_snapshot, bigint, int, bigint, int, int[]) is
  'Every newest row version and deletion that upto (default: now) shows and since does not, of the tables that are not locked. Pass upto and the last (tx, t, id) for the next page; the returned snapshot is the next since.';
revoke execute on function public.changes_since(pg_snapshot, text, pg_snapshot, bigint, int, bigint, int, int[])
  from public, anon, authenticated, service_role;
grant execute on function public.changes_since(pg_snapshot, text, pg_snapshot, bigint, int, bigint, int, int[])
  to authenticated, relay_reader, service_role;
