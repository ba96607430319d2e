-- A relay that is told which beat its row had before notices that the database has gone back, to an image of its disk. A beat that
-- arrives late, after newer ones, must not take the row back.
create or replace function public.relay_heartbeat(instance uuid, beat bigint) returns jsonb
language sql security definer set search_path = '' as $$
  with known as (select r.beat from public.relay_heartbeats r where r.instance = relay_heartbeat.instance)
  insert into public.relay_heartbeats as row (instance, beat)
  values (relay_heartbeat.instance, relay_heartbeat.beat)
  on conflict (instance) do update set beat = greatest(row.beat, excluded.beat), seen_at = pg_catalog.clock_timestamp()
  returning pg_catalog.jsonb_build_object('instance', row.instance, 'beat', row.beat, 'before', (select known.beat from known))
$$;
