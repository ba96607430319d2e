-- What waits for somebody: events that are held back, and notices.

-- Not what the file said: it may hold anything.
grant select (event_id, entity, event_type, kind, reason, column_name, state, created_at) on public.quarantine to authenticated;
create policy "Signed-in users read why events are held" on public.quarantine for select to authenticated using (true);

create function public.waiting() returns jsonb
language sql stable set search_path = '' as $$
  select pg_catalog.jsonb_build_object(
    'quarantined', (select pg_catalog.count(*) from (select from public.quarantine q where q.state = 'held' limit 100000) held),
    'notices', (
      select pg_catalog.count(*) from (
        select from public.notices n where n.created_at > pg_catalog.clock_timestamp() - interval '7 days' limit 100000) recent))
$$;
comment on function public.waiting() is 'How many events are held back, and how many notices the last seven days have brought; 100,000 at most.';
revoke execute on function public.waiting() from public, anon;
grant execute on function public.waiting() to authenticated, service_role;
