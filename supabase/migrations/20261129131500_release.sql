-- As before, but what has no possible time cannot be released either: it would set the clock of all detectors.
create or replace function public.decide_quarantine(events bigint[], verdict text) returns int
language plpgsql set search_path = '' as $$
declare
  decided bigint[];
begin
  if verdict is null or verdict not in ('released', 'dropped') then
    raise exception 'verdict must be released or dropped, not %', verdict using errcode = '22023';
  end if;
  with changed as (
    update public.quarantine r set state = verdict, decided_at = pg_catalog.clock_timestamp()
    where r.event_id = any (events) and r.state = 'held' and not (r.kind in ('size', 'time') and verdict = 'released')
    returning r.event_id
  ) select coalesce(pg_catalog.array_agg(event_id), '{}') into decided from changed;
  if verdict = 'released' then
    insert into public.event_queue (event_id) select pg_catalog.unnest(decided) on conflict (event_id) do nothing;
    if pg_catalog.cardinality(decided) > 0 and not exists (select from public.scans where status = 'queued') then
      insert into public.scans (reason) values ('quarantine');
    end if;
  end if;
  return pg_catalog.cardinality(decided);
end $$;
comment on function public.decide_quarantine(bigint[], text) is
  'Releases held events, which are then judged whatever their ranges, or drops them for good; their number. What has too much text or no possible time cannot be released.';
