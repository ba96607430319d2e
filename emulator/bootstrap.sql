-- What a new hosted project holds before its first migration. Run by the superuser in each database, at each start:
-- everything here can be repeated. Roles belong to the whole server, the rest to one database.
do $$
declare
  wanted record;
begin
  for wanted in
    select * from (values
      ('anon', 'nologin inherit'),
      ('authenticated', 'nologin inherit'),
      ('service_role', 'nologin inherit bypassrls'),
      ('authenticator', 'login noinherit'),
      ('postgres', 'login createdb createrole replication bypassrls')
    ) as roles (name, attributes)
  loop
    if not exists (select from pg_catalog.pg_roles where rolname = wanted.name) then
      execute format('create role %I %s', wanted.name, wanted.attributes);
    end if;
  end loop;
  execute format('alter database %I owner to postgres', current_database());
end $$;

do $$
begin
  if not pg_has_role('authenticator', 'service_role', 'member') then
    grant anon, authenticated, service_role to authenticator;
    grant pg_read_all_data, pg_signal_backend, pg_monitor to postgres;
    -- Limits of hosted projects. PostgREST also applies those of the role it switches to.
    alter role authenticator set statement_timeout = '8s';
    alter role authenticator set lock_timeout = '8s';
    alter role authenticated set statement_timeout = '8s';
    alter role anon set statement_timeout = '3s';
    alter role postgres set search_path = "$user", public, extensions;
  end if;
end $$;

do $$
begin
  if not pg_has_role('postgres', 'anon', 'usage with admin option') then
    grant anon, authenticated, service_role to postgres with admin option;
  end if;
end $$;

-- New tables are for their owner alone: a migration writes its own grants.
grant usage on schema public to anon, authenticated, service_role;

create schema if not exists extensions;
grant usage on schema extensions to anon, authenticated, service_role;
grant all on schema extensions to postgres;

create schema if not exists auth;
grant usage on schema auth to anon, authenticated, service_role, postgres;

create schema if not exists realtime;
grant usage on schema realtime to anon, authenticated, service_role, postgres;

create or replace function auth.jwt() returns jsonb
language sql stable as $$
  select nullif(current_setting('request.jwt.claims', true), '')::jsonb
$$;
comment on function auth.jwt() is 'Claims of the caller''s token, null outside of a request.';

create or replace function auth.uid() returns uuid
language sql stable as $$ select (auth.jwt() ->> 'sub')::uuid $$;
comment on function auth.uid() is 'The caller''s user id; raises when the token''s subject is no uuid.';

create or replace function auth.role() returns text
language sql stable as $$ select auth.jwt() ->> 'role' $$;
comment on function auth.role() is 'The role that the caller''s token names.';

create or replace function auth.email() returns text
language sql stable as $$ select auth.jwt() ->> 'email' $$;
comment on function auth.email() is 'The e-mail address that the caller''s token names.';

do $$
begin
  if not exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
    alter publication supabase_realtime owner to postgres;
  end if;
end $$;
