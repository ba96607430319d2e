-- A relay's beat vouches for its cursors: whoever raised that of another relay would hide from clients that the database has gone back.
-- So a row belongs to the process that made it, which proves that by a secret of its own.

alter table public.relay_heartbeats add column proof bytea;
comment on column public.relay_heartbeats.proof is 'Hash of the secret that whoever changes the row has to know; null: of a relay of before.';

drop function public.relay_heartbeat(uuid, bigint);
create function public.relay_heartbeat(instance uuid, beat bigint, secret text default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  given constant bytea := pg_catalog.sha256(pg_catalog.convert_to(secret, 'UTF8'));
  before bigint;
  told jsonb;
begin
  select r.beat into before from public.relay_heartbeats r where r.instance = relay_heartbeat.instance;
  insert into public.relay_heartbeats as row (instance, beat, proof)
  values (relay_heartbeat.instance, relay_heartbeat.beat, given)
  on conflict on constraint relay_heartbeats_pkey do update
    set beat = greatest(row.beat, excluded.beat), seen_at = pg_catalog.clock_timestamp()
    where row.proof is not distinct from excluded.proof
  returning pg_catalog.jsonb_build_object('instance', row.instance, 'beat', row.beat, 'before', before) into told;
  if told is null then
    raise exception 'the heartbeat row % belongs to another relay', instance using errcode = '42501';
  end if;
  return told;
end $$;
comment on function public.relay_heartbeat(uuid, bigint, text) is
  'Records that a relay lives; the change travels back to it as its canary. The row is changed only by who knows the secret that it was made with.';
revoke execute on function public.relay_heartbeat(uuid, bigint, text) from public, anon, authenticated, service_role;
grant execute on function public.relay_heartbeat(uuid, bigint, text) to relay_reader, service_role;
