-- Broadcast from the database: rows of realtime.messages are streamed to the subscribers of their topic.
-- Run after bootstrap.sql, by the superuser, at each start: everything here can be repeated.
do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'supabase_realtime_admin') then
    create role supabase_realtime_admin nologin noinherit;
  end if;
  if not pg_has_role('supabase_realtime_admin', 'service_role', 'member') then
    grant anon, authenticated, service_role to supabase_realtime_admin;
  end if;
  -- Migrations write policies on realtime.messages. Hosted projects allow it by an extension.
  if not pg_has_role('postgres', 'supabase_realtime_admin', 'member') then
    grant supabase_realtime_admin to postgres;
  end if;
end $$;

grant usage on schema realtime to supabase_realtime_admin;

do $$
begin
  if to_regclass('realtime.messages') is null then
    create table realtime.messages (
      topic text not null,
      extension text not null,
      payload jsonb,
      event text,
      private boolean default false,
      updated_at timestamp not null default now(),
      inserted_at timestamp not null default now(),
      id uuid not null default gen_random_uuid(),
      binary_payload bytea,
      primary key (id, inserted_at),
      constraint messages_payload_exclusive check (payload is null or binary_payload is null)
    ) partition by range (inserted_at);
    comment on table realtime.messages is
      'What is to be broadcast, a partition for each day; policies on it decide who may join a private topic.';
    create index messages_inserted_at_topic_index on realtime.messages (inserted_at desc, topic)
      where extension = 'broadcast' and private;
    alter table realtime.messages owner to supabase_realtime_admin;
    alter table realtime.messages enable row level security;
    grant select, insert, update on realtime.messages to anon, authenticated, service_role;
    create publication supabase_realtime_messages_publication for table realtime.messages;
  end if;
end $$;

create or replace function realtime.topic() returns text
language sql stable as $$ select nullif(current_setting('realtime.topic', true), '') $$;
comment on function realtime.topic() is 'The topic that is being joined or sent to, null outside of both.';

create or replace function realtime.send(
  payload jsonb, event text, topic text, private boolean default true
) returns void
language plpgsql as $$
declare
  message_id uuid := gen_random_uuid();
begin
  -- A message that cannot be written is a warning, so that what the caller does still succeeds.
  begin
    perform set_config('realtime.topic', topic, true);
    insert into realtime.messages (id, payload, event, topic, private, extension)
    values (
      message_id,
      case when payload ? 'id' then payload
           else jsonb_set(payload, array['id'], to_jsonb(message_id)) end,
      event, topic, private, 'broadcast'
    );
  exception when others then
    raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
  end;
end $$;
comment on function realtime.send(jsonb, text, text, boolean) is
  'Broadcasts the payload when the transaction commits, with an id when it has none.';

create or replace function realtime.send_binary(
  payload bytea, event text, topic text, private boolean default true
) returns void
language plpgsql as $$
begin
  begin
    perform set_config('realtime.topic', topic, true);
    insert into realtime.messages (binary_payload, event, topic, private, extension)
    values (payload, event, topic, private, 'broadcast');
  exception when others then
    raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
  end;
end $$;
comment on function realtime.send_binary(bytea, text, text, boolean) is
  'The same for bytes, which only clients of protocol version 2 get.';

create or replace function realtime.broadcast_changes(
  topic_name text, event_name text, operation text, table_name text, table_schema text,
  new record, old record, level text default 'ROW'
) returns void
language plpgsql as $$
begin
  if level = 'STATEMENT' then
    raise exception 'function can only be triggered for each row, not for each statement';
  end if;
  if operation is null or operation not in ('INSERT', 'UPDATE', 'DELETE') then
    raise exception 'Unexpected operation type: %', operation;
  end if;
  perform realtime.send(
    jsonb_build_object(
      'table', table_name, 'schema', table_schema, 'operation', operation,
      'record', new, 'old_record', old
    ),
    event_name, topic_name
  );
exception when others then
  raise exception 'Failed to process the row: %', sqlerrm;
end $$;
comment on function realtime.broadcast_changes(text, text, text, text, text, record, record, text) is
  'For row triggers: broadcasts what happened to the row on a private topic.';

do $$
declare
  found regprocedure;
begin
  for found in
    select p.oid from pg_catalog.pg_proc p join pg_catalog.pg_roles r on r.oid = p.proowner
    where p.pronamespace = 'realtime'::regnamespace and r.rolname <> 'supabase_realtime_admin'
      and p.proname in ('topic', 'send', 'send_binary', 'broadcast_changes')
  loop
    execute format('alter function %s owner to supabase_realtime_admin', found);
  end loop;
end $$;
