-- A deletion is a version like any other: a row that is put back under its id, as people do after a mistake, goes on after it.
-- Otherwise whoever compares versions takes the row for an older one, and never shows it again.
--
-- Each id is in one place: in its table, or in deletions while it is deleted. So the newest version of an id is what
-- changes_since finds, and a row that was deleted and put back by one transaction does not share its (tx, t, id) with its deletion.

delete from public.deletions d using public.deletions newer
where newer.t = d.t and newer.id = d.id and (newer.version, newer.tx) > (d.version, d.tx);
create unique index deletions_row on public.deletions (t, id);

-- Clients that stay connected hold versions of deletions that were pruned long ago.
create table public.version_floors (
  t int primary key check (t between 1 and 3),
  id bigint not null,
  version int not null
);
comment on table public.version_floors is 'One row per table as deletions numbers them: no deletion that was pruned had a higher id or a higher version.';
alter table public.version_floors enable row level security;
revoke all on public.version_floors from anon, authenticated, service_role;

-- Definer: writers may neither lock rows nor read the floors.
--
-- An id that is there may be about to be deleted: the insert waits for that, as it would in the unique index, which is looked at
-- after this trigger ran, and then sees the deletion. Under repeatable read it does not, and PostgreSQL raises 40001 here.
-- A writer that sends another version only makes it looked up anew; supersede_deletions() does.
create or replace function public.stamp() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  number constant int := case tg_table_name when 'hotspots' then 1 when 'alerts' then 2 else 3 end;
  before int;
  there boolean;
begin
  if tg_op = 'INSERT' then
    if number = 1 then
      there := exists (select from public.hotspots h where h.id = new.id);
    elsif number = 2 then
      there := exists (select from public.alerts a where a.id = new.id);
    else
      there := exists (select from public.recommendations r where r.id = new.id);
    end if;
    if there then
      execute pg_catalog.format('select from public.%I there where there.id = $1 for key share', tg_table_name) using new.id;
    end if;
  elsif new.id <> old.id then
    raise exception '%.id never changes', tg_table_name using errcode = '23001';
  end if;
  if tg_op = 'INSERT' or new.version <> old.version then
    before := greatest(
      (select d.version from public.deletions d where d.t = number and d.id = new.id),
      (select f.version from public.version_floors f where f.t = number and f.id >= new.id));
  end if;
  if tg_op = 'INSERT' then
    new.version := coalesce(before, 0) + 1;
  else
    new.version := old.version;
    new.tx := old.tx;
    new.changed_at := old.changed_at;
    if new is not distinct from old and coalesce(before < old.version, true) then
      return new;
    end if;
    new.version := greatest(old.version, before) + 1;
  end if;
  new.tx := pg_catalog.pg_current_xact_id()::text::bigint;
  new.changed_at := pg_catalog.clock_timestamp();
  return new;
end $$;

-- As before; a deletion that is there already can only be that of a row that was put back while triggers were off.
create or replace function public.bury() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.deletions as known (tx, t, id, version)
  select pg_catalog.pg_current_xact_id()::text::bigint, tg_argv[0]::int, id, version + 1 from old_rows
  on conflict (t, id) do update
  set tx = excluded.tx, version = greatest(known.version, excluded.version), deleted_at = excluded.deleted_at;
  return null;
end $$;

-- Takes away the deletions of rows that are there again. An id may have been put back and deleted once more between the look of
-- stamp() and the one at the unique index; this one is the last, with a new snapshot, and gives such a row its version. Under repeatable
-- read such a deletion cannot be seen, but met in the unique index: PostgreSQL raises 40001 then, and the writer tries again.
create function public.supersede_deletions() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  number constant int := tg_argv[0]::int;
begin
  if pg_catalog.current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
    insert into public.deletions (tx, t, id, version)
    select pg_catalog.pg_current_xact_id()::text::bigint, number, n.id, 0 from new_rows n
    on conflict (t, id) do nothing;
    delete from public.deletions d using new_rows n where d.t = number and d.id = n.id and d.version = 0;
  end if;
  if not exists (
    select from new_rows n cross join lateral (
      select from public.deletions d where d.t = number and d.id = n.id limit 1) found) then
    return null;
  end if;
  execute pg_catalog.format(
    'update public.%I changed set version = 0 from new_rows n join public.deletions d on d.t = $1 and d.id = n.id'
    ' where changed.id = n.id and d.version >= changed.version', tg_table_name) using number;
  delete from public.deletions d using new_rows n where d.t = number and d.id = n.id;
  return null;
end $$;
comment on function public.supersede_deletions() is 'Lets rows that were put back go on after their deletion, and takes that away.';
revoke execute on function public.supersede_deletions() from public, anon, authenticated, service_role;

-- By their names these come before announce_insert: who is told of a version is not told of an older one afterwards.
create trigger after_deletion after insert on public.hotspots referencing new table as new_rows
for each statement execute function public.supersede_deletions('1');
create trigger after_deletion after insert on public.alerts referencing new table as new_rows
for each statement execute function public.supersede_deletions('2');
create trigger after_deletion after insert on public.recommendations referencing new table as new_rows
for each statement execute function public.supersede_deletions('3');

-- Rows that were put back before this migration.
update public.hotspots h set version = 0 where exists (
  select from public.deletions d where d.t = 1 and d.id = h.id and d.version >= h.version);
update public.alerts a set version = 0 where exists (
  select from public.deletions d where d.t = 2 and d.id = a.id and d.version >= a.version);
update public.recommendations r set version = 0 where exists (
  select from public.deletions d where d.t = 3 and d.id = r.id and d.version >= r.version);
delete from public.deletions d where d.t = 1 and exists (select from public.hotspots h where h.id = d.id);
delete from public.deletions d where d.t = 2 and exists (select from public.alerts a where a.id = d.id);
delete from public.deletions d where d.t = 3 and exists (select from public.recommendations r where r.id = d.id);

-- What is pruned of deletions raises the floors.
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
  -- What is pruned was emitted all the same: the trigger on predictions lets it stand in rollups.
  perform pg_catalog.set_config('hotspots.pruning', 'on', true);
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
  perform pg_catalog.set_config('hotspots.pruning', 'off', true);
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
