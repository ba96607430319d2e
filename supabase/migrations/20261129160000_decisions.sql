-- The life of an episode (reopened, de-escalated, told once) and what people say of it: every decision with who, when and why, in
-- bulk, and taken back within a minute.

alter table public.hotspots
  add column peak_severity text not null default 'info' check (peak_severity in ('info', 'warn', 'critical')),
  add column previous_id bigint,
  add column held boolean not null default false,
  add column acknowledged_at timestamptz;
comment on column public.hotspots.severity is 'How bad it is now: it falls when the level of the episode has fallen.';
comment on column public.hotspots.peak_severity is 'How bad its worst event or period was: that of the figures shown.';
comment on column public.hotspots.previous_id is 'The episode of the same key that had ended within 30 days before. No foreign key: that one may be pruned earlier.';
comment on column public.hotspots.held is 'A person said that this is not normal: it never becomes the new normal by itself.';
comment on column public.hotspots.acknowledged_at is 'When a person took notice; null again when it escalates.';
comment on column public.hotspots.resolution is 'recovered, new_normal (by evidence or a person''s word), or superseded (not pursued any more, or its key was reset); null where a person resolved or ignored it.';
create index hotspots_key on public.hotspots (entity, event_type, id desc);
update public.hotspots set peak_severity = severity where peak_severity <> severity;

alter table public.alerts
  add column occurred_at timestamptz not null default now(),
  add column reason text not null default '' check (length(reason) <= 1000),
  drop constraint alerts_kind_check,
  add constraint alerts_kind_check check (kind in ('opened', 'reopened', 'escalated', 'deescalated', 'resolved'));
comment on table public.alerts is 'One row per transition of an episode that is told: opened, reopened, escalated, deescalated, resolved.';
comment on column public.alerts.occurred_at is 'Event time of the transition; created_at is when it was found.';
comment on column public.alerts.reason is 'One sentence for people, without the name of the entity.';
update public.alerts set occurred_at = created_at where occurred_at <> created_at;

-- What is needed to take a decision back.
alter table public.audit_log
  add column before jsonb,
  add column input_id bigint,
  add column undone_at timestamptz;
comment on column public.audit_log.before is 'The columns that the decision changed, as they were.';
comment on column public.audit_log.input_id is 'The word that detectors were told, see detector_inputs.';
comment on column public.audit_log.undone_at is 'When it was taken back; the row stays.';

drop function public.record_decision(text, text, bigint, text);
create function public.record_decision(
  action text, entity_type text, entity_id bigint, notes text default null, before jsonb default null, input_id bigint default null
) returns void
language sql set search_path = '' as $$
  insert into public.audit_log (action, entity_type, entity_id, user_id, role, notes, before, input_id)
  select record_decision.action, record_decision.entity_type, record_decision.entity_id, claims ->> 'sub', claims ->> 'role',
    record_decision.notes, record_decision.before, record_decision.input_id
  from coalesce(nullif(pg_catalog.current_setting('request.jwt.claims', true), ''), '{}') text,
    lateral (select text::pg_catalog.jsonb as claims) parsed
$$;
comment on function public.record_decision(text, text, bigint, text, jsonb, bigint) is 'Part of the functions below, not callable by API roles.';
revoke execute on function public.record_decision(text, text, bigint, text, jsonb, bigint) from public, anon, authenticated, service_role;

create function public.check_notes(notes text) returns void
language plpgsql set search_path = '' as $$
begin
  if pg_catalog.length(notes) > 2000 then
    raise sqlstate 'PT422' using message = 'notes must have at most 2000 characters';
  end if;
end $$;
comment on function public.check_notes(text) is 'Part of the functions below, not callable by API roles.';
revoke execute on function public.check_notes(text) from public, anon, authenticated, service_role;

-- Hotspots

create function public.decide_hotspot(id bigint, decision text, notes text default null) returns public.hotspots
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
  h public.hotspots;
  before jsonb;
  word bigint;
  seen jsonb;
begin
  if decision is null or decision not in ('acknowledged', 'resolved', 'ignored', 'accepted', 'rejected') then
    raise sqlstate 'PT422' using message = 'decision must be acknowledged, resolved, ignored, accepted or rejected';
  end if;
  perform public.check_notes(notes);
  select * into h from public.hotspots where hotspots.id = decide_hotspot.id for update;
  if not found then
    raise sqlstate 'PT404' using message = pg_catalog.format('hotspot %s does not exist', decide_hotspot.id);
  end if;
  before := case decision
    when 'acknowledged' then pg_catalog.jsonb_build_object('acknowledged_at', h.acknowledged_at)
    when 'rejected' then pg_catalog.jsonb_build_object('held', h.held)
    else pg_catalog.jsonb_build_object('status', h.status, 'resolution', h.resolution, 'resolved_at', h.resolved_at) end;

  if decision = 'acknowledged' then
    with marked as (
      update public.alerts set acknowledged = true, acknowledged_at = pg_catalog.clock_timestamp()
      where hotspot_id = h.id and not acknowledged returning alerts.id
    ) select coalesce(pg_catalog.jsonb_agg(marked.id), '[]') into seen from marked;
    if h.acknowledged_at is not null and seen = '[]' then
      return h;
    end if;
    update public.hotspots set acknowledged_at = pg_catalog.clock_timestamp() where hotspots.id = h.id returning * into h;
    perform public.record_decision(decision, 'hotspot', h.id, notes, before || pg_catalog.jsonb_build_object('alerts', seen));
    return h;
  end if;

  -- The same decision again changes nothing.
  if (decision = 'rejected' and h.status = 'active' and h.held)
    or (decision = 'ignored' and h.status = 'ignored')
    or (decision = 'accepted' and h.status = 'resolved' and h.resolution = 'new_normal')
    or (decision = 'resolved' and h.status = 'resolved')
  then
    return h;
  end if;
  if h.status <> 'active' then
    raise sqlstate 'PT409' using message = pg_catalog.format('hotspot %s is %s', h.id, h.status);
  end if;
  -- The row and its detectors hear of it together; the trigger that tells detectors of other writers is not needed.
  perform pg_catalog.set_config('hotspots.by_engine', 'on', true);
  if decision = 'rejected' then
    update public.hotspots set held = true where hotspots.id = h.id returning * into h;
  else
    update public.hotspots set
      status = case decision when 'ignored' then 'ignored' else 'resolved' end,
      resolution = case decision when 'accepted' then 'new_normal' end,
      resolved_at = pg_catalog.clock_timestamp()
    where hotspots.id = h.id returning * into h;
  end if;
  perform pg_catalog.set_config('hotspots.by_engine', 'off', true);
  word := public.tell_detectors(h.entity, h.entity_type, h.event_type, decision);
  perform public.record_decision(decision, 'hotspot', h.id, notes, before, word);
  return h;
end $$;
comment on function public.decide_hotspot(bigint, text, text) is
  'Says of an open episode: acknowledged (seen, with its alerts), resolved (over, until there is new evidence), ignored (silent until it is over), accepted (the new normal), rejected (not normal, whatever its length). The same again changes nothing; PT409 when it is not open.';
revoke execute on function public.decide_hotspot(bigint, text, text) from public, anon;
grant execute on function public.decide_hotspot(bigint, text, text) to authenticated, service_role;

drop function public.resolve_hotspot(bigint);
create function public.resolve_hotspot(id bigint, notes text default null) returns public.hotspots
language sql security definer set search_path = '' as $$
  select * from public.decide_hotspot(resolve_hotspot.id, 'resolved', resolve_hotspot.notes)
$$;
comment on function public.resolve_hotspot(bigint, text) is 'Ends an open episode and returns it, as decide_hotspot does.';
revoke execute on function public.resolve_hotspot(bigint, text) from public, anon;
grant execute on function public.resolve_hotspot(bigint, text) to authenticated, service_role;

create function public.check_ids(ids bigint[]) returns void
language plpgsql set search_path = '' as $$
begin
  if ids is null or pg_catalog.cardinality(ids) = 0 or pg_catalog.cardinality(ids) > 500 or pg_catalog.array_position(ids, null) is not null then
    raise sqlstate 'PT422' using message = 'ids must be 1 to 500 numbers';
  end if;
end $$;
comment on function public.check_ids(bigint[]) is 'Part of the functions below, not callable by API roles.';
revoke execute on function public.check_ids(bigint[]) from public, anon, authenticated, service_role;

create function public.decide_hotspots(ids bigint[], decision text, notes text default null) returns jsonb
language plpgsql security definer set search_path = '' set statement_timeout = '30s' as $$
declare
  each bigint;
  done jsonb := '[]';
  refused jsonb := '[]';
begin
  perform public.check_ids(ids);
  -- In one order, so that two calls do not wait for each other.
  perform from public.hotspots h where h.id = any (ids) order by h.id for update;
  for each in select distinct i from pg_catalog.unnest(ids) i order by i loop
    begin
      perform public.decide_hotspot(each, decision, notes);
      done := done || pg_catalog.to_jsonb(each);
    exception when sqlstate 'PT404' or sqlstate 'PT409' then
      refused := refused || pg_catalog.jsonb_build_object('id', each, 'reason', sqlerrm);
    end;
  end loop;
  return pg_catalog.jsonb_build_object('done', done, 'refused', refused);
end $$;
comment on function public.decide_hotspots(bigint[], text, text) is
  'decide_hotspot for 1 to 500 of them: {done: [id], refused: [{id, reason}]}. Those that are refused do not keep the others.';
revoke execute on function public.decide_hotspots(bigint[], text, text) from public, anon;
grant execute on function public.decide_hotspots(bigint[], text, text) to authenticated, service_role;

-- Alerts

drop function public.acknowledge_alert(bigint);
create function public.acknowledge_alert(id bigint, notes text default null) returns public.alerts
language plpgsql security definer set search_path = '' as $$
declare
  seen public.alerts;
begin
  perform public.check_notes(notes);
  select a.* into seen from public.alerts a where a.id = acknowledge_alert.id for update;
  if not found then
    raise sqlstate 'PT404' using message = pg_catalog.format('alert %s does not exist', acknowledge_alert.id);
  end if;
  if seen.acknowledged then
    return seen;
  end if;
  update public.alerts a set acknowledged = true, acknowledged_at = pg_catalog.clock_timestamp()
  where a.id = seen.id returning a.* into seen;
  perform public.record_decision('acknowledged', 'alert', seen.id, notes, '{}');
  return seen;
end $$;
comment on function public.acknowledge_alert(bigint, text) is 'Marks an alert as seen and returns it; again changes nothing.';
revoke execute on function public.acknowledge_alert(bigint, text) from public, anon;
grant execute on function public.acknowledge_alert(bigint, text) to authenticated, service_role;

create function public.acknowledge_alerts(ids bigint[], notes text default null) returns jsonb
language plpgsql security definer set search_path = '' set statement_timeout = '30s' as $$
declare
  each bigint;
  done jsonb := '[]';
  refused jsonb := '[]';
begin
  perform public.check_ids(ids);
  for each in select distinct i from pg_catalog.unnest(ids) i order by i loop
    begin
      perform public.acknowledge_alert(each, notes);
      done := done || pg_catalog.to_jsonb(each);
    exception when sqlstate 'PT404' then
      refused := refused || pg_catalog.jsonb_build_object('id', each, 'reason', sqlerrm);
    end;
  end loop;
  return pg_catalog.jsonb_build_object('done', done, 'refused', refused);
end $$;
comment on function public.acknowledge_alerts(bigint[], text) is 'acknowledge_alert for 1 to 500 of them: {done: [id], refused: [{id, reason}]}.';
revoke execute on function public.acknowledge_alerts(bigint[], text) from public, anon;
grant execute on function public.acknowledge_alerts(bigint[], text) to authenticated, service_role;

-- Recommendations: as before, and with what is needed to take it back.
create or replace function public.decide_recommendation(id bigint, decision text, notes text default null) returns public.recommendations
language plpgsql security definer set search_path = '' as $$
declare
  decided public.recommendations;
begin
  if decision is null or decision not in ('approved', 'rejected') then
    raise sqlstate 'PT422' using message = 'decision must be approved or rejected';
  end if;
  perform public.check_notes(notes);
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
  perform public.record_decision(decision, 'recommendation', decided.id, notes, '{}');
  return decided;
end $$;

-- Silences: no alert of what they match. Episodes go on, and what is still open when a silence ends is told then.

create table public.silences (
  id bigint generated always as identity primary key,
  entity text check (length(entity) <= 200),
  event_type text check (event_type in ('logistics', 'factory', 'warehouse', 'delivery')),
  severity text check (severity in ('info', 'warn', 'critical')),
  starts_at timestamptz not null,
  until timestamptz not null check (until > starts_at),
  why text not null check (length(why) between 1 and 2000),
  ended_at timestamptz,
  created_at timestamptz not null default pg_catalog.clock_timestamp()
);
comment on table public.silences is 'One row per silence: no alerts of what it matches, from starts_at until until. A column that is null matches all. Written by functions only.';
comment on column public.silences.severity is 'Alerts up to this severity: what is worse is told.';
comment on column public.silences.ended_at is 'When a person ended it before its time.';
create index silences_until on public.silences (until);
alter table public.silences enable row level security;
revoke all on public.silences from anon, authenticated, service_role;
revoke all on sequence public.silences_id_seq from anon, authenticated, service_role;
grant select on public.silences to authenticated, service_role;
create policy "Signed-in users read silences" on public.silences for select to authenticated using (true);

create function public.is_silenced(entity text, event_type text, severity text, at timestamptz) returns boolean
language sql stable set search_path = '' as $$
  select exists (
    select from public.silences s
    where s.until > is_silenced.at and s.starts_at <= is_silenced.at and (s.ended_at is null or s.ended_at > is_silenced.at)
      and (s.entity is null or s.entity = is_silenced.entity)
      and (s.event_type is null or s.event_type = is_silenced.event_type)
      and (s.severity is null or pg_catalog.array_position('{info,warn,critical}', is_silenced.severity)
        <= pg_catalog.array_position('{info,warn,critical}', s.severity)))
$$;
comment on function public.is_silenced(text, text, text, timestamptz) is 'Whether an alert of this severity would be kept back by a silence at this time.';
revoke execute on function public.is_silenced(text, text, text, timestamptz) from public, anon;
grant execute on function public.is_silenced(text, text, text, timestamptz) to authenticated, service_role;

create function public.silence(
  until timestamptz, why text, entity text default null, event_type text default null, severity text default null,
  starts_at timestamptz default null
) returns public.silences
language plpgsql security definer set search_path = '' as $$
declare
  made public.silences;
  here constant timestamptz := pg_catalog.clock_timestamp();
  begins constant timestamptz := coalesce(silence.starts_at, here);
begin
  if silence.until is null or silence.until <= greatest(begins, here) or silence.until > begins + interval '1 year' then
    raise sqlstate 'PT422' using message = 'until must be later than now and than starts_at, by a year at most';
  end if;
  if why is null or pg_catalog.btrim(why) = '' or pg_catalog.length(why) > 2000 then
    raise sqlstate 'PT422' using message = 'why must say in 1 to 2000 characters why';
  end if;
  if silence.entity is null and silence.event_type is null and silence.severity is null then
    raise sqlstate 'PT422' using message = 'a silence needs an entity, an event_type or a severity';
  end if;
  if pg_catalog.length(silence.entity) > 200 then
    raise sqlstate 'PT422' using message = 'entity must have at most 200 characters';
  end if;
  if silence.event_type not in ('logistics', 'factory', 'warehouse', 'delivery') then
    raise sqlstate 'PT422' using message = 'event_type must be logistics, factory, warehouse or delivery';
  end if;
  if silence.severity not in ('info', 'warn', 'critical') then
    raise sqlstate 'PT422' using message = 'severity must be info, warn or critical';
  end if;
  insert into public.silences (entity, event_type, severity, starts_at, until, why)
  values (silence.entity, silence.event_type, silence.severity, begins, silence.until, silence.why) returning * into made;
  perform public.record_decision('silenced', 'silence', made.id, why, '{}');
  return made;
end $$;
comment on function public.silence(timestamptz, text, text, text, text, timestamptz) is
  'Keeps back the alerts of an entity, an event_type, or up to a severity, until a time, and says why; returns the silence.';
revoke execute on function public.silence(timestamptz, text, text, text, text, timestamptz) from public, anon;
grant execute on function public.silence(timestamptz, text, text, text, text, timestamptz) to authenticated, service_role;

create function public.end_silence(id bigint, notes text default null) returns public.silences
language plpgsql security definer set search_path = '' as $$
declare
  ended public.silences;
begin
  perform public.check_notes(notes);
  select s.* into ended from public.silences s where s.id = end_silence.id for update;
  if not found then
    raise sqlstate 'PT404' using message = pg_catalog.format('silence %s does not exist', end_silence.id);
  end if;
  if ended.ended_at is not null or ended.until <= pg_catalog.clock_timestamp() then
    return ended;
  end if;
  update public.silences s set ended_at = pg_catalog.clock_timestamp() where s.id = ended.id returning s.* into ended;
  perform public.record_decision('ended', 'silence', ended.id, notes, '{}');
  return ended;
end $$;
comment on function public.end_silence(bigint, text) is 'Ends a silence before its time and returns it; again changes nothing.';
revoke execute on function public.end_silence(bigint, text) from public, anon;
grant execute on function public.end_silence(bigint, text) to authenticated, service_role;

-- Keys

create function public.reset_key(entity text, event_type text, entity_type text default 'supplier', notes text default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  h public.hotspots;
  before jsonb := '{}';
  word bigint;
begin
  perform public.check_notes(notes);
  if not exists (
    select from public.detector_keys k where k.entity = reset_key.entity and k.entity_type = reset_key.entity_type
      and k.event_type = reset_key.event_type)
  then
    raise sqlstate 'PT404' using message = pg_catalog.format('nothing is known of %s %s', reset_key.entity, reset_key.event_type);
  end if;
  select * into h from public.hotspots o where o.entity = reset_key.entity and o.entity_type = reset_key.entity_type
    and o.event_type = reset_key.event_type and o.status = 'active' for update;
  if found then
    before := pg_catalog.jsonb_build_object('hotspot', h.id);
    perform pg_catalog.set_config('hotspots.by_engine', 'on', true);
    update public.hotspots o set status = 'resolved', resolution = 'superseded', resolved_at = pg_catalog.clock_timestamp() where o.id = h.id;
    perform pg_catalog.set_config('hotspots.by_engine', 'off', true);
  end if;
  word := public.tell_detectors(reset_key.entity, reset_key.entity_type, reset_key.event_type, 'reset');
  perform public.record_decision('reset', 'key', word, notes, before, word);
  return pg_catalog.jsonb_build_object('id', word, 'entity', reset_key.entity, 'entity_type', reset_key.entity_type,
    'event_type', reset_key.event_type, 'hotspot', h.id);
end $$;
comment on function public.reset_key(text, text, text, text) is
  'Lets the detectors of a key forget what is usual and begin anew; an open episode is superseded. Returns {id, entity, entity_type, event_type, hotspot}; id is for undo.';
revoke execute on function public.reset_key(text, text, text, text) from public, anon;
grant execute on function public.reset_key(text, text, text, text) to authenticated, service_role;

-- Undo

create function public.unsay(word bigint) returns void
language plpgsql set search_path = '' as $$
declare
  said public.detector_inputs;
begin
  delete from public.detector_inputs i where i.id = word returning i.* into said;
  -- Detectors that have heard it are folded anew without it. A worker that has read it and not yet written finds it gone.
  if said.applied then
    perform public.request_rebuild(said.entity, said.entity_type, said.event_type, 'a decision was taken back');
  end if;
end $$;
comment on function public.unsay(bigint) is 'Part of undo, not callable by API roles.';
revoke execute on function public.unsay(bigint) from public, anon, authenticated, service_role;

create function public.undo_one(kind text, id bigint) returns void
language plpgsql set search_path = '' as $$
declare
  caller constant jsonb := coalesce(nullif(pg_catalog.current_setting('request.jwt.claims', true), ''), '{}')::jsonb;
  said public.audit_log;
  h public.hotspots;
  now_there boolean;
begin
  select a.* into said from public.audit_log a
  where a.entity_type = undo_one.kind and a.entity_id = undo_one.id and a.undone_at is null order by a.id desc limit 1 for update;
  if not found or said.before is null or said.user_id is distinct from caller ->> 'sub' or said.role is distinct from caller ->> 'role'
    or said.created_at < pg_catalog.clock_timestamp() - interval '1 minute'
  then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('%s %s: its last decision is not yours, or older than a minute', undo_one.kind, undo_one.id);
  end if;
  -- Words before rows: a worker that commits takes its locks in this order.
  if said.input_id is not null then
    perform public.unsay(said.input_id);
  end if;
  case undo_one.kind
  when 'hotspot' then
    select o.* into h from public.hotspots o where o.id = undo_one.id for update;
    now_there := found and case said.action
      when 'acknowledged' then h.acknowledged_at is not null
      when 'rejected' then h.status = 'active' and h.held
      when 'ignored' then h.status = 'ignored'
      else h.status = 'resolved' end;
    perform public.restore_hotspot(h, said.before, now_there);
    update public.alerts a set acknowledged = false, acknowledged_at = null
    where a.hotspot_id = h.id and said.before -> 'alerts' @> pg_catalog.to_jsonb(a.id);
  when 'key' then
    if said.before ? 'hotspot' then
      select o.* into h from public.hotspots o where o.id = (said.before ->> 'hotspot')::bigint for update;
      perform public.restore_hotspot(h, '{"status": "active", "resolution": null, "resolved_at": null}',
        found and h.status = 'resolved');
    end if;
  when 'alert' then
    update public.alerts a set acknowledged = false, acknowledged_at = null where a.id = undo_one.id;
  when 'recommendation' then
    update public.recommendations r set status = 'pending' where r.id = undo_one.id and r.status = said.action;
  when 'silence' then
    update public.silences s set ended_at = case said.action when 'silenced' then pg_catalog.clock_timestamp() end where s.id = undo_one.id;
  end case;
  update public.audit_log a set undone_at = pg_catalog.clock_timestamp() where a.id = said.id;
end $$;
comment on function public.undo_one(text, bigint) is 'Part of undo, not callable by API roles.';
revoke execute on function public.undo_one(text, bigint) from public, anon, authenticated, service_role;

create function public.restore_hotspot(h public.hotspots, before jsonb, as_decided boolean) returns void
language plpgsql set search_path = '' as $$
begin
  if not as_decided then
    raise sqlstate 'PT409' using message = pg_catalog.format('hotspot %s has changed since', h.id);
  end if;
  perform pg_catalog.set_config('hotspots.by_engine', 'on', true);
  update public.hotspots o set (status, resolution, resolved_at, held, acknowledged_at) = (
    select r.status, r.resolution, r.resolved_at, r.held, r.acknowledged_at from pg_catalog.jsonb_populate_record(h, before) r)
  where o.id = h.id;
  perform pg_catalog.set_config('hotspots.by_engine', 'off', true);
exception when unique_violation then
  raise sqlstate 'PT409' using message = pg_catalog.format('hotspot %s has been followed by a newer one', h.id);
end $$;
comment on function public.restore_hotspot(public.hotspots, jsonb, boolean) is 'Part of undo, not callable by API roles.';
revoke execute on function public.restore_hotspot(public.hotspots, jsonb, boolean) from public, anon, authenticated, service_role;

create function public.undo(kind text, ids bigint[]) returns jsonb
language plpgsql security definer set search_path = '' set statement_timeout = '30s' as $$
declare
  each bigint;
  done jsonb := '[]';
  refused jsonb := '[]';
begin
  if kind is null or kind not in ('hotspot', 'alert', 'recommendation', 'silence', 'key') then
    raise sqlstate 'PT422' using message = 'kind must be hotspot, alert, recommendation, silence or key';
  end if;
  perform public.check_ids(ids);
  for each in select distinct i from pg_catalog.unnest(ids) i order by i loop
    begin
      perform public.undo_one(kind, each);
      done := done || pg_catalog.to_jsonb(each);
    exception when sqlstate 'PT409' then
      refused := refused || pg_catalog.jsonb_build_object('id', each, 'reason', sqlerrm);
    end;
  end loop;
  return pg_catalog.jsonb_build_object('done', done, 'refused', refused);
end $$;
comment on function public.undo(text, bigint[]) is
  'Takes back the caller''s last decision of the last minute on each of 1 to 500 hotspots, alerts, recommendations, silences or keys (ids of reset_key): {done: [id], refused: [{id, reason}]}.';
revoke execute on function public.undo(text, bigint[]) from public, anon;
grant execute on function public.undo(text, bigint[]) to authenticated, service_role;

-- An alert is told once, and not when a silence matches or the same severity of the key was told within the cool-down (by event time).
-- The end of an episode is told where its beginning was.
create function public.tells_alert(
  hotspot bigint, kind text, level text, occurred_at timestamptz, at timestamptz, cooldown_seconds double precision
) returns boolean
language plpgsql set search_path = '' as $$
declare
  h public.hotspots;
  ends constant boolean := tells_alert.kind = 'resolved';
begin
  select o.* into strict h from public.hotspots o where o.id = tells_alert.hotspot;
  if tells_alert.kind in ('resolved', 'deescalated') and not h.announced
    or tells_alert.kind in ('opened', 'reopened', 'resolved') and exists (
      select from public.alerts a where a.hotspot_id = h.id
        and (a.kind = 'resolved') = ends and a.kind in ('opened', 'reopened', 'resolved'))
    or public.is_silenced(h.entity, h.event_type, case when ends then h.peak_severity else tells_alert.level end,
      coalesce(tells_alert.at, pg_catalog.clock_timestamp()))
    or not ends and exists (
      select from public.alerts a join public.hotspots o on o.id = a.hotspot_id
      where o.entity = h.entity and o.entity_type = h.entity_type and o.event_type = h.event_type
        and a.kind <> 'resolved' and a.level = tells_alert.level
        and a.occurred_at > tells_alert.occurred_at - pg_catalog.make_interval(secs => coalesce(cooldown_seconds, 0)))
  then
    if tells_alert.kind in ('opened', 'reopened') and h.announced then
      update public.hotspots o set announced = false where o.id = h.id;
    end if;
    return false;
  end if;
  if not h.announced or tells_alert.kind = 'escalated' and h.acknowledged_at is not null then
    update public.hotspots o set announced = true,
      acknowledged_at = case tells_alert.kind when 'escalated' then null else o.acknowledged_at end
    where o.id = h.id;
  end if;
  return true;
end $$;
comment on function public.tells_alert(bigint, text, text, timestamptz, timestamptz, double precision) is
  'Part of write_alerts: whether the alert of a transition is to be written, and notes that at the hotspot.';
revoke execute on function public.tells_alert(bigint, text, text, timestamptz, timestamptz, double precision)
  from public, anon, authenticated, service_role;
grant execute on function public.tells_alert(bigint, text, text, timestamptz, timestamptz, double precision) to service_role;

-- One statement for as many as do not depend on each other, that is of different keys: each statement is announced by a message.
create function public.write_alerts(proposals jsonb, at timestamptz, cooldown_seconds double precision) returns int
language plpgsql set search_path = '' as $$
declare
  proposed record;
  waiting jsonb[] := '{}';
  keys text[] := '{}';
  told int := 0;
begin
  for proposed in
    select e.part, a.hotspot, a.kind, a.level, coalesce(a.occurred_at, pg_catalog.clock_timestamp()) as occurred_at,
      pg_catalog.jsonb_build_array(h.entity, h.entity_type, h.event_type)::text as key
    from pg_catalog.jsonb_array_elements(proposals) with ordinality as e(part, n),
      lateral pg_catalog.jsonb_to_record(e.part) as a(hotspot bigint, kind text, level text, occurred_at timestamptz)
      join public.hotspots h on h.id = a.hotspot
    order by e.n
  loop
    if proposed.key = any(keys) or pg_catalog.cardinality(keys) = 100 then
      perform public.add_alerts(waiting);
      waiting := '{}';
      keys := '{}';
    end if;
    if public.tells_alert(proposed.hotspot, proposed.kind, proposed.level, proposed.occurred_at, at, cooldown_seconds) then
      told := told + 1;
      waiting := waiting || (proposed.part || pg_catalog.jsonb_build_object('occurred_at', proposed.occurred_at));
      keys := keys || proposed.key;
    end if;
  end loop;
  perform public.add_alerts(waiting);
  return told;
end $$;
comment on function public.write_alerts(jsonb, timestamptz, double precision) is
  'Part of write_findings: writes the alerts of transitions, in order, but those that something keeps back; their number.';
revoke execute on function public.write_alerts(jsonb, timestamptz, double precision) from public, anon, authenticated, service_role;
grant execute on function public.write_alerts(jsonb, timestamptz, double precision) to service_role;

create function public.add_alerts(alerts jsonb[]) returns void
language sql set search_path = '' as $$
  insert into public.alerts (hotspot_id, kind, level, message, reason, occurred_at)
  select a.hotspot, a.kind, a.level, a.message, pg_catalog.left(coalesce(a.reason, ''), 1000), a.occurred_at
  from pg_catalog.unnest(alerts) with ordinality as e(part, n), lateral pg_catalog.jsonb_to_record(e.part) as a(
    hotspot bigint, kind text, level text, message text, reason text, occurred_at timestamptz)
  order by e.n
$$;
comment on function public.add_alerts(jsonb[]) is 'Part of write_alerts.';
revoke execute on function public.add_alerts(jsonb[]) from public, anon, authenticated, service_role;
grant execute on function public.add_alerts(jsonb[]) to service_role;
