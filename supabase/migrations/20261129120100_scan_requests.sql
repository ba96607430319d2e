-- Who asked for a scan is between them and the audit log: every signed-in user reads the table scans.
insert into public.audit_log (action, entity_type, entity_id, user_id, created_at)
select 'requested', 'scan', s.id, s.requested_by, s.created_at from public.scans s where s.requested_by is not null;
alter table public.scans drop column requested_by;

-- A request is for a scan that begins after it. Where no event waits, one that began in the last ten seconds has found what this one
-- would find: without that, a flood of requests is as many rows, runs and broadcasts.
create or replace function public.request_scan() returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  named public.scans;
begin
  select s.* into named from public.scans s where s.status = 'queued' order by s.id limit 1;
  if not found and not exists (select from public.event_queue q where q.state = 'pending') then
    select s.* into named from public.scans s
    where s.status in ('running', 'done') and s.started_at > pg_catalog.clock_timestamp() - interval '10 seconds'
    order by s.id desc limit 1;
  end if;
  if named.id is null then
    insert into public.scans (reason) values ('request') returning * into named;
    perform public.record_decision('requested', 'scan', named.id);
  end if;
  return pg_catalog.jsonb_build_object('id', named.id, 'status', named.status);
end $$;
comment on function public.request_scan() is
  'Queues a scan, or names the one that is queued already, or the one of the last ten seconds where no event waits.';
