-- How many events of a supplier can be learned from, for the summary of an import.

create index events_normalized_by_supplier on public.events_normalized (supplier_id, event_type);

create function public.usable_events(suppliers text[]) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(pg_catalog.jsonb_agg(counted), '[]')
  from (
    select e.supplier_id, e.event_type, pg_catalog.count(*) as events
    from public.events_normalized e
    where e.supplier_id = any (usable_events.suppliers)
      and not exists (select from public.quarantine q where q.event_id = e.id and q.state <> 'released')
    group by e.supplier_id, e.event_type
  ) counted
$$;
comment on function public.usable_events(text[]) is 'Events of each supplier and event type that are not in quarantine. Called by ingest.';
revoke execute on function public.usable_events(text[]) from public, anon, authenticated, service_role;
grant execute on function public.usable_events(text[]) to service_role;
