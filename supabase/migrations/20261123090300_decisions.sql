-- What people decide. The rules live here, so that the relay's routes and a frontend's rpc() obey the same ones.
-- These functions are definers because signed-in users may read the tables and not write them; each one checks its
-- input, changes one row and records who did it.
-- PostgREST answers PTxyz with HTTP status xyz.

create table public.audit_log (
  id bigint generated always as identity primary key,
  action text not null,
  entity_type text not null,
  entity_id bigint not null,
  user_id text,
  role text,
  notes text check (length(notes) <= 2000),
  created_at timestamptz not null default now()
);
comment on table public.audit_log is 'One row per decision of a person. Written by functions only.';
create index audit_log_entity on public.audit_log (entity_type, entity_id);
alter table public.audit_log enable row level security;
revoke all on public.audit_log from anon, authenticated, service_role;
revoke all on sequence public.audit_log_id_seq from anon, authenticated, service_role;
grant select on public.audit_log to service_role;

create function public.record_decision(action text, entity_type text, entity_id bigint, notes text default null) returns void
language sql set search_path = '' as $$
  insert into public.audit_log (action, entity_type, entity_id, user_id, role, notes)
  select record_decision.action, record_decision.entity_type, record_decision.entity_id,
    claims ->> 'sub', claims ->> 'role', record_decision.notes
  from coalesce(nullif(pg_catalog.current_setting('request.jwt.claims', true), ''), '{}') text,
    lateral (select text::pg_catalog.jsonb as claims) parsed
$$;
comment on function public.record_decision(text, text, bigint, text) is 'Part of the functions below, not callable by API roles.';
revoke execute on function public.record_decision(text, text, bigint, text) from public, anon, authenticated, service_role;

create function public.decide_recommendation(id bigint, decision text, notes text default null) returns public.recommendations
language plpgsql security definer set search_path = '' as $$
declare
  decided public.recommendations;
begin
  if decision is null or decision not in ('approved', 'rejected') then
    raise sqlstate 'PT422' using message = 'decision must be approved or rejected';
  end if;
  if pg_catalog.length(notes) > 2000 then
    raise sqlstate 'PT422' using message = 'notes must have at most 2000 characters';
  end if;
  select r.* into decided from public.recommendations r where r.id = decide_recommendation.id for update;
  if not found then
    raise sqlstate 'PT404' using message = pg_catalog.format('recommendation %s does not exist', decide_recommendation.id);
  end if;
  if decided.status = decision then
    return decided;
  end if;
  if decided.status <> 'pending' then
    raise sqlstate 'PT409' using message = pg_catalog.format('recommendation %s is already %s', decided.id, decided.status);
  end if;
  update public.recommendations r set status = decision where r.id = decided.id returning r.* into decided;
  perform public.record_decision(decision, 'recommendation', decided.id, notes);
  return decided;
end $$;
comment on function public.decide_recommendation(bigint, text, text) is
  'Approves or rejects a pending recommendation and returns it; the same decision again changes nothing, the opposite one is PT409.';
revoke execute on function public.decide_recommendation(bigint, text, text) from public, anon;
grant execute on function public.decide_recommendation(bigint, text, text) to authenticated, service_role;

create function public.acknowledge_alert(id bigint) returns public.alerts
language plpgsql security definer set search_path = '' as $$
declare
  seen public.alerts;
begin
  select a.* into seen from public.alerts a where a.id = acknowledge_alert.id for update;
  if not found then
    raise sqlstate 'PT404' using message = pg_catalog.format('alert %s does not exist', acknowledge_alert.id);
  end if;
  if seen.acknowledged then
    return seen;
  end if;
  update public.alerts a set acknowledged = true, acknowledged_at = pg_catalog.now()
  where a.id = seen.id returning a.* into seen;
  perform public.record_decision('acknowledged', 'alert', seen.id);
  return seen;
end $$;
comment on function public.acknowledge_alert(bigint) is 'Marks an alert as seen and returns it; again changes nothing.';
revoke execute on function public.acknowledge_alert(bigint) from public, anon;
grant execute on function public.acknowledge_alert(bigint) to authenticated, service_role;

create function public.resolve_hotspot(id bigint) returns public.hotspots
language plpgsql security definer set search_path = '' as $$
declare
  resolved public.hotspots;
begin
  select h.* into resolved from public.hotspots h where h.id = resolve_hotspot.id for update;
  if not found then
    raise sqlstate 'PT404' using message = pg_catalog.format('hotspot %s does not exist', resolve_hotspot.id);
  end if;
  if resolved.status = 'resolved' then
    return resolved;
  end if;
  if resolved.status <> 'active' then
    raise sqlstate 'PT409' using message = pg_catalog.format('hotspot %s is %s', resolved.id, resolved.status);
  end if;
  update public.hotspots h set status = 'resolved', resolved_at = pg_catalog.now()
  where h.id = resolved.id returning h.* into resolved;
  perform public.record_decision('resolved', 'hotspot', resolved.id);
  return resolved;
end $$;
comment on function public.resolve_hotspot(bigint) is 'Ends an open episode and returns it; again changes nothing. The next hot event opens a new one.';
revoke execute on function public.resolve_hotspot(bigint) from public, anon;
grant execute on function public.resolve_hotspot(bigint) to authenticated, service_role;

create function public.request_scan() returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  queued public.scans;
begin
  select s.* into queued from public.scans s where s.status = 'queued' order by s.id limit 1;
  if not found then
    insert into public.scans (reason, requested_by)
    values ('request', nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
    returning * into queued;
  end if;
  return pg_catalog.jsonb_build_object('id', queued.id, 'status', queued.status);
end $$;
comment on function public.request_scan() is 'Queues a scan, or names the one that is queued already.';
revoke execute on function public.request_scan() from public, anon;
grant execute on function public.request_scan() to authenticated, service_role;
