-- The relay's own role gets into the schema of Realtime. That belongs to Supabase, and a grant of those who may only use it does
-- nothing, without an error; the roles of the API may use it, and anon is the one that may do least.
do $$
begin
  if pg_catalog.to_regnamespace('realtime') is not null
    and not pg_catalog.has_schema_privilege('relay_reader', 'realtime', 'usage') then
    grant anon to relay_reader;
  end if;
exception when insufficient_privilege then
  raise notice 'relay_reader cannot use the fast lane: %', sqlerrm;
end $$;

-- A policy counts when it lets the caller in, and a caller who reaches the schema: what PostgREST switched to stays visible in the setting.
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
        and (pg_catalog.current_setting('role') = 'none' or exists (
          select from pg_catalog.pg_roles r
          where r.rolname = pg_catalog.current_setting('role') and r.rolname = any (roles)
            and pg_catalog.has_schema_privilege(r.oid, 'realtime', 'usage')))))
$$;
