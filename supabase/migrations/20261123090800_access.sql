-- Who may be served what: the relay reads here what Postgres would show to a role, and gets a role of its own with less rights.

-- Everything that decides what a role sees of the three tables. One row goes to many clients, so the relay serves a role only where the
-- answer is the same for all of its holders; asking as one of them would say nothing about the next.
create function public.relay_access() returns jsonb
language sql stable security definer set search_path = '' as $$
  select pg_catalog.jsonb_object_agg(r.rolname, (
    select pg_catalog.jsonb_object_agg(c.relname, pg_catalog.jsonb_build_object(
      'select', pg_catalog.has_schema_privilege(r.oid, c.relnamespace, 'usage')
        and pg_catalog.has_table_privilege(r.oid, c.oid, 'select'),
      'bypasses', r.rolbypassrls or r.rolsuper or not c.relrowsecurity
        or (not c.relforcerowsecurity and pg_catalog.pg_has_role(r.oid, c.relowner, 'usage')),
      'policies', (
        select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
          'name', p.polname, 'permissive', p.polpermissive, 'using', pg_catalog.pg_get_expr(p.polqual, p.polrelid))
          order by p.polname), '[]')
        from pg_catalog.pg_policy p
        where p.polrelid = c.oid and p.polcmd in ('r', '*') and exists (
          select from pg_catalog.unnest(p.polroles) member
          where member = 0 or pg_catalog.pg_has_role(r.oid, member, 'usage'))),
      'columns', (
        select pg_catalog.jsonb_agg(a.attname order by a.attnum) from pg_catalog.pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)))
    from pg_catalog.pg_class c
    where c.relnamespace = 'public'::pg_catalog.regnamespace and c.relname in ('hotspots', 'alerts', 'recommendations')))
  from pg_catalog.pg_roles r
  where r.rolname in ('anon', 'authenticated', 'service_role')
    or exists (
      select from pg_catalog.pg_auth_members m join pg_catalog.pg_roles login on login.oid = m.member
      where m.roleid = r.oid and login.rolname = 'authenticator')
$$;
comment on function public.relay_access() is
  'Per role that a token may name and per relayed table: whether it may select the whole table, whether row level security applies, its SELECT policies, the columns.';
revoke execute on function public.relay_access() from public, anon, authenticated, service_role;
grant execute on function public.relay_access() to service_role;

-- The relay's own role: reads what it relays, and writes nothing but its heartbeat, through the function.
do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'relay_reader') then
    create role relay_reader nologin;
  end if;
  if exists (select from pg_catalog.pg_roles where rolname = 'authenticator') then
    grant relay_reader to authenticator;
  end if;
end $$;
grant usage on schema public to relay_reader;
grant select on public.hotspots, public.alerts, public.recommendations, public.deletions, public.relay_heartbeats to relay_reader;
create policy "Relays read hotspots" on public.hotspots for select to relay_reader using (true);
create policy "Relays read alerts" on public.alerts for select to relay_reader using (true);
create policy "Relays read recommendations" on public.recommendations for select to relay_reader using (true);
create policy "Relays read deletions" on public.deletions for select to relay_reader using (true);
create policy "Relays read heartbeats" on public.relay_heartbeats for select to relay_reader using (true);
alter function public.relay_heartbeat(uuid, bigint) security definer;
grant execute on function public.relay_epoch(), public.relay_access(), public.relay_broadcast(),
  public.relay_heartbeat(uuid, bigint),
  public.changes_since(pg_snapshot, text, pg_snapshot, bigint, int, bigint, int) to relay_reader;

-- Realtime works under the role of the token that joins. Where its schema belongs to somebody else, the relay does without the
-- fast lane: it says so at its start.
do $$
begin
  if pg_catalog.to_regclass('realtime.messages') is not null
    and pg_catalog.to_regprocedure('realtime.topic()') is not null then
    grant usage on schema realtime to relay_reader;
    grant select on realtime.messages to relay_reader;
    create policy "Relays of their own role read changes" on realtime.messages for select to relay_reader
      using (realtime.topic() = 'relay:changes');
  end if;
exception when insufficient_privilege then
  raise notice 'relay_reader cannot use the fast lane: %', sqlerrm;
end $$;

-- A policy counts when it lets the caller in: what PostgREST switched to stays visible in the setting.
create or replace function public.relay_broadcast() returns jsonb
language sql stable security definer set search_path = '' as $$
  select pg_catalog.jsonb_build_object(
    'function', exists (
      select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'realtime' and p.proname = 'send'),
    'policy', exists (
      select from pg_catalog.pg_policies
      where schemaname = 'realtime' and tablename = 'messages'
        and policyname in ('Relays read changes', 'Relays of their own role read changes')
        and pg_catalog.current_setting('role') = any (roles || '{none}'::name[])))
$$;
