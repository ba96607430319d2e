-- The fast lane: every statement announces what it changed on the private topic relay:changes, where Realtime streams it
-- within a millisecond of the commit instead of polling. It loses as silently as the other lane, so nothing depends on it.

-- Never fails the write that it is called from, nor makes it wait for long: every error becomes a warning, a lock is waited for
-- 50 ms at most, and after 200 ms the rest stays unannounced. One message for up to 100 rows or 256 KB, since a message for each
-- row would cost two transaction ids and a kilobyte of WAL apiece. A deletion is announced with what its row in deletions holds.
create function public.announce() returns trigger
language plpgsql security definer
set search_path = '' set timezone = 'UTC' set lock_timeout = '50ms' as $$
declare
  patience constant timestamptz := pg_catalog.clock_timestamp() + interval '200 milliseconds';
  topic constant text := 'relay:changes';
  batch jsonb;
begin
  begin
    if pg_catalog.to_regprocedure('realtime.send(jsonb,text,text,boolean)') is null then
      return null;
    end if;
    if tg_op = 'DELETE' then
      for batch in
        select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
          'operation', tg_op, 'schema', tg_table_schema, 'table', tg_table_name, 'record', null, 'old_record', gone.key)
          order by gone.n)
        from (
          select pg_catalog.jsonb_build_object('id', o.id, 'version', o.version + 1,
            'tx', pg_catalog.pg_current_xact_id()::text::bigint) as key, row_number() over () as n
          from old_rows o
        ) gone
        group by (gone.n - 1) / 100 order by (gone.n - 1) / 100
      loop
        perform realtime.send(pg_catalog.jsonb_build_object('changes', batch), 'changes', topic, true);
        exit when pg_catalog.clock_timestamp() > patience;
      end loop;
    else
      for batch in
        select pg_catalog.jsonb_agg(parted.change order by parted.n)
        from (
          select found.change, found.n, greatest((found.n - 1) / 100, sum(pg_catalog.length(found.change::text))
            over (order by found.n rows unbounded preceding) / 262144) as part
          from (
            select pg_catalog.jsonb_build_object('operation', tg_op, 'schema', tg_table_schema, 'table', tg_table_name,
              'record', pg_catalog.to_jsonb(new_rows), 'old_record', null) as change, row_number() over () as n
            from new_rows
          ) found
        ) parted
        group by parted.part order by parted.part
      loop
        perform realtime.send(pg_catalog.jsonb_build_object('changes', batch), 'changes', topic, true);
        exit when pg_catalog.clock_timestamp() > patience;
      end loop;
    end if;
  exception when others then
    raise warning 'announce: %', sqlerrm;
  end;
  return null;
end $$;
comment on function public.announce() is 'Broadcasts the rows of a statement to the relays; never fails.';
revoke execute on function public.announce() from public, anon, authenticated, service_role;

do $$
declare
  name text;
begin
  foreach name in array array['hotspots', 'alerts', 'recommendations', 'relay_heartbeats'] loop
    execute pg_catalog.format('create trigger announce_insert after insert on public.%I referencing new table as new_rows'
      ' for each statement execute function public.announce()', name);
    execute pg_catalog.format('create trigger announce_update after update on public.%I referencing new table as new_rows'
      ' for each statement execute function public.announce()', name);
    if name <> 'relay_heartbeats' then
      execute pg_catalog.format('create trigger announce_delete after delete on public.%I referencing old table as old_rows'
        ' for each statement execute function public.announce()', name);
    end if;
  end loop;
end $$;

-- Private topics are closed to whom no policy lets in. Nobody but the relay listens to this one.
do $$
begin
  if pg_catalog.to_regclass('realtime.messages') is not null
    and pg_catalog.to_regprocedure('realtime.topic()') is not null then
    create policy "Relays read changes" on realtime.messages for select to service_role
      using (realtime.topic() = 'relay:changes');
  end if;
exception when insufficient_privilege then
  raise notice 'no policy on realtime.messages: %', sqlerrm;
end $$;

create function public.relay_broadcast() returns jsonb
language sql stable security definer set search_path = '' as $$
  select pg_catalog.jsonb_build_object(
    'function', exists (
      select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'realtime' and p.proname = 'send'),
    'policy', exists (
      select from pg_catalog.pg_policies
      where schemaname = 'realtime' and tablename = 'messages' and policyname = 'Relays read changes'))
$$;
comment on function public.relay_broadcast() is 'Whether broadcasts from the database are possible: the function that sends, the policy that lets relays in.';
revoke execute on function public.relay_broadcast() from public, anon, authenticated, service_role;
grant execute on function public.relay_broadcast() to service_role;

-- A dump that was restored into a new cluster brings transaction ids of the old one, which mean nothing here and may lie in the
-- future: changes_since would bring such rows again and again, or never. Triggers stay out of it, so that versions stay.
create function public.restamp() returns jsonb
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
  return counts;
end $$;
comment on function public.restamp() is 'To be called once after a dump was restored into a new cluster: gives every row and deletion a transaction id of this one.';
revoke execute on function public.restamp() from public, anon, authenticated, service_role;
grant execute on function public.restamp() to service_role;
