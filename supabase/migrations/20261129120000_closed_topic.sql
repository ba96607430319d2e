-- The topic of the fast lane is closed. Permissive policies add up, and the published examples for Realtime let every signed-in user
-- send to and listen on any private topic: with one of them a user could forge rows for every client, and read rows past the policies
-- of the three tables. Restrictive policies hold beside any permissive one. On hosted projects realtime.messages belongs to Supabase and
-- a migration may create policies on it and nothing else. realtime.topic() is null outside of a join, and then decides nothing.
-- Roles that bypass row level security, service_role among them, are not held by this.
do $$
begin
  if pg_catalog.to_regclass('realtime.messages') is not null
    and pg_catalog.to_regprocedure('realtime.topic()') is not null then
    create policy "Only the database sends changes" on realtime.messages as restrictive for insert
      to anon, authenticated, relay_reader
      with check (topic is distinct from 'relay:changes' and realtime.topic() is distinct from 'relay:changes');
    -- relay_reader listens, and may be a member of anon.
    create policy "Only relays receive changes" on realtime.messages as restrictive for select to anon, authenticated
      using (current_user = 'relay_reader'
        or (topic is distinct from 'relay:changes' and realtime.topic() is distinct from 'relay:changes'));
  end if;
exception when insufficient_privilege then
  raise notice 'the topic relay:changes stays open, and relays do not use it: %', sqlerrm;
end $$;

-- Roles that a token may name, for whom a permissive policy opens the topic and no restrictive one closes it: 'sends', 'receives'.
-- 'inherited': what the caller relay_reader may do with the project's tables because it is a member of anon, which Realtime's schema asks
-- for; a table whose row level security has no policy for anon gives nothing.
-- 'policy': it lets the caller in, and the caller reaches the schema; what PostgREST switched to stays visible in the setting.
create or replace function public.relay_broadcast() returns jsonb
language sql stable security definer set search_path = '' as $$
  with open as (
    select case direction.command when 'a' then 'sends' else 'receives' end as direction, r.rolname
    from (values ('a', 'insert', '((topic IS DISTINCT FROM ''relay:changes''::text) AND (realtime.topic() IS DISTINCT FROM ''relay:changes''::text))'),
                 ('r', 'select', '((CURRENT_USER = ''relay_reader''::name) OR ((topic IS DISTINCT FROM ''relay:changes''::text) AND (realtime.topic() IS DISTINCT FROM ''relay:changes''::text)))')
      ) as direction (command, privilege, closing),
      pg_catalog.pg_class messages,
      pg_catalog.pg_roles r,
      lateral (
        select pg_catalog.bool_or(p.polpermissive) as opens,
          pg_catalog.bool_or(not p.polpermissive and direction.closing =
            pg_catalog.pg_get_expr(coalesce(p.polwithcheck, p.polqual), p.polrelid)) as closes
        from pg_catalog.pg_policy p
        where p.polrelid = messages.oid and p.polcmd in (direction.command::"char", '*')
          and exists (select from pg_catalog.unnest(p.polroles) member
                      where member = 0 or pg_catalog.pg_has_role(r.oid, member, 'usage'))
      ) policies
    where messages.oid = pg_catalog.to_regclass('realtime.messages')
      and not r.rolsuper and not r.rolbypassrls
      and not (r.rolname = 'relay_reader' and direction.command = 'r')
      and (r.rolname in ('anon', 'authenticated') or exists (
        select from pg_catalog.pg_auth_members m join pg_catalog.pg_roles login on login.oid = m.member
        where m.roleid = r.oid and login.rolname = 'authenticator'))
      and pg_catalog.has_table_privilege(r.oid, messages.oid, direction.privilege)
      and policies.opens and not policies.closes
  )
  select pg_catalog.jsonb_build_object(
    'function', exists (
      select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'realtime' and p.proname = 'send'),
    'policy', exists (
      select from pg_catalog.pg_policies
      where schemaname = 'realtime' and tablename = 'messages'
        and policyname in ('Relays read changes', 'Relays of their own role read changes')
        and (pg_catalog.current_setting('role') = 'none' or exists (
          select from pg_catalog.pg_roles r
          where r.rolname = pg_catalog.current_setting('role') and r.rolname = any (roles)
            and pg_catalog.has_schema_privilege(r.oid, 'realtime', 'usage')))),
    'sends', (select coalesce(pg_catalog.jsonb_agg(o.rolname order by o.rolname), '[]') from open o where o.direction = 'sends'),
    'receives', (select coalesce(pg_catalog.jsonb_agg(o.rolname order by o.rolname), '[]') from open o where o.direction = 'receives'),
    'inherited', (
      select coalesce(pg_catalog.jsonb_agg(found.rights order by found.rights), '[]')
      from (
        select pg_catalog.format('%s on %I.%I', pg_catalog.string_agg(p.privilege, ', ' order by p.privilege), n.nspname, c.relname) as rights
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace,
        pg_catalog.unnest(array['select', 'insert', 'update', 'delete']) as p (privilege)
        where pg_catalog.current_setting('role') = 'relay_reader' and pg_catalog.pg_has_role('relay_reader', 'anon', 'usage')
          and c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname not like 'pg\_%'
          and n.nspname not in ('information_schema', 'realtime')
          and pg_catalog.has_schema_privilege('anon', n.oid, 'usage')
          and pg_catalog.has_table_privilege('anon', c.oid, p.privilege)
          and (not c.relrowsecurity or exists (
            select from pg_catalog.pg_policy policy
            where policy.polrelid = c.oid and policy.polpermissive
              and policy.polcmd in ('*', case p.privilege when 'select' then 'r' when 'insert' then 'a' when 'update' then 'w' else 'd' end::"char")
              and exists (select from pg_catalog.unnest(policy.polroles) member
                          where member = 0 or pg_catalog.pg_has_role('anon', member, 'usage'))))
        group by n.nspname, c.relname
        order by n.nspname, c.relname limit 20
      ) found))
$$;
comment on function public.relay_broadcast() is
  'Whether broadcasts from the database are possible and safe: the function that sends, the policy that lets relays in, and the roles that may send to or receive from the relays'' topic though they must not, and what relay_reader inherits from anon.';
