-- Detectors in the place of the first rule: their state, what is said of them, what is no alarm, and what an episode shows.

-- What an episode shows beside the figures of its worst event.
alter table public.hotspots
  add column phase text not null default 'firing' check (phase in ('firing', 'recovering')),
  add column series text not null default 'event' check (series in ('event', 'period')),
  add column rule text not null default 'spike' check (rule in ('spike', 'shift', 'drift', 'period')),
  add column excess_kg double precision not null default 0,
  add column reason text not null default '' check (length(reason) <= 1000),
  add column occurred_at timestamptz not null default now(),
  add column last_seen_at timestamptz not null default now(),
  add column drivers jsonb not null default '[]',
  add column announced boolean not null default true,
  add column resolution text check (resolution in ('recovered', 'new_normal', 'superseded'));
comment on table public.hotspots is 'One row per episode: an entity above what is usual for it, from opening to resolution. It shows the worst event or period so far.';
comment on column public.hotspots.predicted_co2 is 'kg CO2e of the worst event or period; of a slow rise, of such work at its level.';
comment on column public.hotspots.baseline_co2 is 'kg CO2e that the same work usually costs this entity.';
comment on column public.hotspots.phase is 'firing, or recovering when there is evidence of return.';
comment on column public.hotspots.series is 'event: a job was done badly; period: the whole run of some days is bad.';
comment on column public.hotspots.rule is 'spike, shift (a run of events), drift (slowly rising), period (the days themselves).';
comment on column public.hotspots.excess_kg is 'kg CO2e above what is usual, summed over what belongs to the episode.';
comment on column public.hotspots.reason is 'One sentence for people.';
comment on column public.hotspots.occurred_at is 'Event time of the opening; created_at is when it was found.';
comment on column public.hotspots.last_seen_at is 'Event time of the newest event that belongs to it.';
comment on column public.hotspots.drivers is 'Inputs by how much of the excess of the shown event each explains: [{input, log_ratio, kg}]; the kg add up to the excess.';
comment on column public.hotspots.announced is 'Its opening was told by an alert. History is told only when it is still open at the end of the import.';
comment on column public.hotspots.resolution is 'recovered, new_normal, or superseded (not pursued any more); null where a person ended it.';

alter table public.predictions add column kg_per_km double precision;
comment on column public.predictions.kg_per_km is 'Average kg CO2e per km of the vehicle class, well to wheel.';

create table public.detectors (
  entity text not null,
  entity_type text not null,
  event_type text not null,
  series text not null check (series in ('event', 'period')),
  method text not null,
  basis text not null,
  country text not null,
  learned int not null,
  usual double precision,
  spread double precision not null,
  newest_at timestamptz,
  state jsonb not null,
  updated_at timestamptz not null default now(),
  primary key (entity, entity_type, event_type, series, method, basis, country)
);
comment on table public.detectors is 'One row per detector: what is usual for a key in one series, for one way to find kilograms. Written by the worker.';
comment on column public.detectors.method is 'How kilograms are found, as in predictions.';
comment on column public.detectors.basis is 'What kg are divided by; none: nothing is known, so days are judged.';
comment on column public.detectors.country is 'Of the electricity grid, empty where none matters.';
comment on column public.detectors.usual is 'kg CO2e per unit of activity of a middling job; null before the first.';
comment on column public.detectors.spread is 'Usual scatter, as a share.';
comment on column public.detectors.state is 'Everything that the fold needs, a few kB. Its form is the worker''s own.';
alter table public.detectors enable row level security;
revoke all on public.detectors from anon, authenticated, service_role;
grant select, insert, update, delete on public.detectors to service_role;
-- Not the state: it is nobody else's affair.
grant select (entity, entity_type, event_type, series, method, basis, country, learned, usual, spread, newest_at, updated_at)
  on public.detectors to authenticated;
create policy "Signed-in users read what is usual" on public.detectors for select to authenticated using (true);

-- The old name, for who reads what is normal.
drop table public.baselines;
create view public.baselines with (security_invoker = on) as
select entity, entity_type, event_type, series, method, basis, country, usual as median, spread, learned as sample_size,
  case when learned < 12 then 'warming' else 'ready' end as state, newest_at, updated_at
from public.detectors;
comment on view public.baselines is 'What is normal for a key, one row per detector: median kg CO2e per unit of activity, usual scatter, sample size.';
revoke all on public.baselines from anon, authenticated, service_role;
grant select on public.baselines to authenticated, service_role;

create table public.detector_keys (
  entity text not null,
  entity_type text not null,
  event_type text not null,
  newest_at timestamptz,
  due_at timestamptz,
  late int not null default 0,
  state jsonb not null,
  primary key (entity, entity_type, event_type)
);
comment on table public.detector_keys is 'One row per (entity, entity_type, event_type): what its detectors share. Written by the worker.';
comment on column public.detector_keys.newest_at is 'Event time of its newest event.';
comment on column public.detector_keys.due_at is 'When the watch for silence has something to do, by the clock of WORKER_CLOCK.';
comment on column public.detector_keys.late is 'Events that came too late to be learned, since its past was folded anew.';
create index detector_keys_due on public.detector_keys (due_at);
create index detector_keys_newest on public.detector_keys (newest_at);
alter table public.detector_keys enable row level security;
revoke all on public.detector_keys from anon, authenticated, service_role;
grant select, insert, update, delete on public.detector_keys to service_role;

create table public.detector_inputs (
  id bigint generated always as identity primary key,
  entity text not null,
  entity_type text not null,
  event_type text not null,
  kind text not null check (kind in ('accepted', 'rejected', 'ignored', 'resolved', 'reset', 'silence')),
  at timestamptz not null default pg_catalog.clock_timestamp(),
  after_event bigint,
  applied boolean not null default false
);
comment on table public.detector_inputs is 'What detectors hear beside events, in its order: words of people, and times at which silence was looked at. Replayed when the past is folded anew.';
comment on column public.detector_inputs.after_event is 'The newest event of the key that was worked off when it was said.';
create index detector_inputs_key on public.detector_inputs (entity, entity_type, event_type, id);
create index detector_inputs_waiting on public.detector_inputs (id) where not applied;
alter table public.detector_inputs enable row level security;
revoke all on public.detector_inputs from anon, authenticated, service_role;
revoke all on sequence public.detector_inputs_id_seq from anon, authenticated, service_role;
grant select, insert, update, delete on public.detector_inputs to service_role;

create table public.notices (
  id bigint generated always as identity primary key,
  entity text not null,
  entity_type text not null,
  event_type text not null,
  kind text not null check (kind in ('quality', 'no_data', 'data_again', 'improved', 'new_normal', 'superseded')),
  message text not null check (length(message) <= 1000),
  event_id bigint,
  occurred_at timestamptz,
  created_at timestamptz not null default now()
);
comment on table public.notices is 'One row per thing worth a line that is no alarm: bad data, silence, improvement, a new normal.';
comment on column public.notices.occurred_at is 'Event time';
create index notices_key on public.notices (entity, entity_type, event_type, id desc);
alter table public.notices enable row level security;
revoke all on public.notices from anon, authenticated, service_role;
revoke all on sequence public.notices_id_seq from anon, authenticated, service_role;
grant select on public.notices to authenticated;
grant select, insert, update, delete on public.notices to service_role;
create policy "Signed-in users read notices" on public.notices for select to authenticated using (true);

create table public.rebuilds (
  entity text not null,
  entity_type text not null,
  event_type text not null,
  reason text not null check (length(reason) <= 200),
  state text not null default 'queued' check (state in ('queued', 'settling')),
  requested_at timestamptz not null default now(),
  primary key (entity, entity_type, event_type)
);
comment on table public.rebuilds is 'One row per key whose past is to be folded anew.';
comment on column public.rebuilds.state is 'queued: before the next batch; settling: once more when no event of the key is pending, if some came late since.';
alter table public.rebuilds enable row level security;
revoke all on public.rebuilds from anon, authenticated, service_role;
grant select, insert, update, delete on public.rebuilds to service_role;

-- What a rebuild reads, in its order, and what prune() counts.
create index events_normalized_key on public.events_normalized (supplier_id, event_type, "timestamp", id);
create index predictions_detector on public.predictions (entity, event_type, event_id);

create function public.request_rebuild(entity text, entity_type text, event_type text, reason text) returns void
language sql set search_path = '' as $$
  insert into public.rebuilds as old (entity, entity_type, event_type, reason) values (entity, entity_type, event_type, reason)
  on conflict on constraint rebuilds_pkey do update set state = 'queued', reason = excluded.reason
$$;
comment on function public.request_rebuild(text, text, text, text) is 'Queues the folding anew of a key''s past, once.';
revoke execute on function public.request_rebuild(text, text, text, text) from public, anon, authenticated, service_role;
grant execute on function public.request_rebuild(text, text, text, text) to service_role;

create function public.request_rebuilds(entities text[], reason text) returns int
language plpgsql set search_path = '' as $$
declare
  queued int;
begin
  insert into public.rebuilds as old (entity, entity_type, event_type, reason)
  select distinct p.entity, p.entity_type, p.event_type, request_rebuilds.reason from public.predictions p
  where entities is null or p.entity = any (entities)
  on conflict on constraint rebuilds_pkey do update set state = 'queued', reason = excluded.reason;
  get diagnostics queued = row_count;
  if queued > 0 and not exists (select from public.scans s where s.status = 'queued') then
    insert into public.scans (reason) values ('rebuild');
  end if;
  return queued;
end $$;
comment on function public.request_rebuilds(text[], text) is
  'Queues the folding anew of the past of all keys of these entities, of all entities for null, and a scan that does it; the number of keys.';
revoke execute on function public.request_rebuilds(text[], text) from public, anon, authenticated, service_role;
grant execute on function public.request_rebuilds(text[], text) to service_role;

create function public.tell_detectors(entity text, entity_type text, event_type text, word text) returns bigint
language sql set search_path = '' as $$
  insert into public.detector_inputs (entity, entity_type, event_type, kind, after_event)
  select tell_detectors.entity, tell_detectors.entity_type, tell_detectors.event_type, word, (
    select pg_catalog.max(p.event_id) from public.predictions p
    where p.entity = tell_detectors.entity and p.entity_type = tell_detectors.entity_type and p.event_type = tell_detectors.event_type)
  returning id
$$;
comment on function public.tell_detectors(text, text, text, text) is
  'Lets the detectors of a key hear a word: accepted (the new normal), rejected (not normal), ignored, resolved, reset.';
revoke execute on function public.tell_detectors(text, text, text, text) from public, anon, authenticated, service_role;
grant execute on function public.tell_detectors(text, text, text, text) to service_role;

-- Whoever ends an episode that is not the engine: its detectors have to hear of it. Definer: those who may update hotspots need
-- not be let near the detectors.
create function public.hear_of_ended_episodes() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if coalesce(pg_catalog.current_setting('hotspots.by_engine', true), '') <> 'on' then
    perform public.tell_detectors(n.entity, n.entity_type, n.event_type, n.status)
    from new_rows n join old_rows o on o.id = n.id where o.status = 'active' and n.status <> 'active';
  end if;
  return null;
end $$;
revoke execute on function public.hear_of_ended_episodes() from public, anon, authenticated, service_role;
create trigger hear_of_ended_episodes after update on public.hotspots
referencing old table as old_rows new table as new_rows for each statement execute function public.hear_of_ended_episodes();

create function public.keys_state(keys jsonb) returns jsonb
language sql stable set search_path = '' as $$
  with wanted as (
    select k.entity, k.entity_type, k.event_type, coalesce(k.held, false) as held
    from pg_catalog.jsonb_to_recordset(keys) as k(entity text, entity_type text, event_type text, held boolean)
  )
  select pg_catalog.jsonb_build_object(
    'clock', (select pg_catalog.max(k.newest_at) from public.detector_keys k),
    'keys', coalesce((
      select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(k) - 'token') from public.detector_keys k natural join wanted w where not w.held), '[]'),
    'detectors', coalesce((
      select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
        'entity', d.entity, 'entity_type', d.entity_type, 'event_type', d.event_type,
        'series', d.series, 'method', d.method, 'basis', d.basis, 'country', d.country, 'state', d.state))
      from public.detectors d natural join wanted w where not w.held), '[]'),
    'inputs', coalesce((
      select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(i) order by i.id)
      from public.detector_inputs i natural join wanted where not i.applied), '[]'),
    'rebuilds', coalesce((
      select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(w) - 'held') from wanted w natural join public.rebuilds r where r.state = 'queued'), '[]'),
    'episodes', coalesce((
      select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(h)) from public.hotspots h
      join wanted w on w.entity = h.entity and w.entity_type = h.entity_type and w.event_type = h.event_type
      where h.status = 'active'), '[]'),
    'suppliers', coalesce((
      select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(s)) from public.suppliers s
      where s.supplier_id in (select w.entity from wanted w)), '[]'))
$$;
comment on function public.keys_state(jsonb) is
  'What keys are judged against: detectors, open episodes, words not heard yet, rebuilds that wait, what is fixed for suppliers, and the newest event time of all.';
revoke execute on function public.keys_state(jsonb) from public, anon, authenticated, service_role;
grant execute on function public.keys_state(jsonb) to service_role;

create or replace function public.batch_state(batch uuid) returns jsonb
language sql stable set search_path = '' as $$
  select public.keys_state(coalesce(pg_catalog.jsonb_agg(distinct pg_catalog.jsonb_build_object(
    'entity', e.supplier_id, 'entity_type', 'supplier', 'event_type', e.event_type)), '[]'))
  from public.event_queue q join public.events_normalized e on e.id = q.event_id
  where q.batch = batch_state.batch
$$;
comment on function public.batch_state(uuid) is 'What a claimed batch is judged against, see keys_state.';

-- Everything that detectors find, by events or without any. Raises PT409 when an episode is not as it was read.
create function public.write_findings(findings jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  nothing constant jsonb := '{"anew": [], "keys": [], "detectors": [], "inputs": [], "heard": [], "replayed": [], "notices": [], "rebuilds": [], "episodes": [], "alerts": [], "advised": [], "recommendations": [], "now": null, "cooldown_seconds": 0}';
  result constant jsonb := nothing || findings;
  refs jsonb;
  counts jsonb;
  proposed jsonb;
  expected int;
  changed int;
  told int;
begin
  perform pg_catalog.set_config('hotspots.by_engine', 'on', true);
  -- A word that was taken back since it was read must not count.
  update public.detector_inputs i set applied = true
  from pg_catalog.jsonb_array_elements_text(result -> 'heard') h where i.id = h::bigint;
  get diagnostics changed = row_count;
  perform from public.detector_inputs i
  where i.id in (select r::bigint from pg_catalog.jsonb_array_elements_text(result -> 'replayed') r) for key share;
  get diagnostics expected = row_count;
  changed := changed + expected;
  expected := pg_catalog.jsonb_array_length(result -> 'heard') + pg_catalog.jsonb_array_length(result -> 'replayed');
  if changed <> expected then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('%s of %s words were taken back since they were read', expected - changed, expected), hint = 'episode';
  end if;
  delete from public.detectors d
  using pg_catalog.jsonb_to_recordset(result -> 'anew') as k(entity text, entity_type text, event_type text)
  where d.entity = k.entity and d.entity_type = k.entity_type and d.event_type = k.event_type;
  insert into public.detectors as old (entity, entity_type, event_type, series, method, basis, country, learned, usual, spread, newest_at, state)
  select d.entity, d.entity_type, d.event_type, d.series, d.method, d.basis, d.country, d.learned, d.usual, d.spread, d.newest_at, d.state
  from pg_catalog.jsonb_to_recordset(result -> 'detectors') as d(entity text, entity_type text, event_type text, series text, method text,
    basis text, country text, learned int, usual double precision, spread double precision, newest_at timestamptz, state jsonb)
  on conflict on constraint detectors_pkey do update set
    learned = excluded.learned, usual = excluded.usual, spread = excluded.spread, newest_at = excluded.newest_at,
    state = excluded.state, updated_at = pg_catalog.clock_timestamp();
  insert into public.detector_keys as old (entity, entity_type, event_type, newest_at, due_at, late, state)
  select k.entity, k.entity_type, k.event_type, k.newest_at, k.due_at, k.late, k.state
  from pg_catalog.jsonb_to_recordset(result -> 'keys') as k(entity text, entity_type text, event_type text, newest_at timestamptz,
    due_at timestamptz, late int, state jsonb)
  on conflict on constraint detector_keys_pkey do update set
    newest_at = excluded.newest_at, due_at = excluded.due_at, late = excluded.late, state = excluded.state;
  insert into public.detector_inputs (entity, entity_type, event_type, kind, at, after_event, applied)
  select i.entity, i.entity_type, i.event_type, 'silence', i.at, (
    select pg_catalog.max(p.event_id) from public.predictions p
    where p.entity = i.entity and p.entity_type = i.entity_type and p.event_type = i.event_type), true
  from pg_catalog.jsonb_to_recordset(result -> 'inputs') as i(entity text, entity_type text, event_type text, at timestamptz);
  insert into public.notices (entity, entity_type, event_type, kind, message, event_id, occurred_at)
  select n.entity, n.entity_type, n.event_type, n.kind, pg_catalog.left(n.message, 1000), n.event_id, n.occurred_at
  from pg_catalog.jsonb_to_recordset(result -> 'notices') as n(entity text, entity_type text, event_type text, kind text, message text,
    event_id bigint, occurred_at timestamptz);
  perform public.request_rebuild(r.entity, r.entity_type, r.event_type, r.reason)
  from pg_catalog.jsonb_to_recordset(result -> 'rebuilds') as r(entity text, entity_type text, event_type text, reason text);

  -- In the order in which people's decisions lock them.
  perform from public.hotspots h
  where h.id in (select (e ->> 'id')::bigint from pg_catalog.jsonb_array_elements(result -> 'episodes') e) order by h.id for update;
  -- Known episodes first: one that resolves makes room for the one that opens after it.
  update public.hotspots h set
    predicted_co2 = e.predicted_co2, baseline_co2 = e.baseline_co2, percent_above = e.percent_above, severity = e.severity,
    peak_severity = coalesce(e.peak_severity, e.severity), status = e.status, event_id = e.event_id, phase = e.phase, series = e.series,
    rule = e.rule, excess_kg = e.excess_kg, reason = pg_catalog.left(e.reason, 1000), occurred_at = e.occurred_at,
    last_seen_at = e.last_seen_at, drivers = e.drivers, announced = e.announced, resolution = e.resolution,
    resolved_at = case when e.status = 'resolved' then pg_catalog.clock_timestamp() else h.resolved_at end
  from pg_catalog.jsonb_populate_recordset(null::public.hotspots, result -> 'episodes') e
  where h.id = e.id and h.version = e.version and h.status = 'active';
  get diagnostics changed = row_count;
  expected := (select pg_catalog.count(*) from pg_catalog.jsonb_array_elements(result -> 'episodes') e where e ->> 'id' is not null);
  if changed <> expected then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('%s of %s episodes changed since they were read', expected - changed, expected), hint = 'episode';
  end if;
  -- Ids of new episodes are drawn first, so that alerts and recommendations find theirs by ref.
  select coalesce(pg_catalog.jsonb_object_agg(
    e.ref, coalesce(e.id, pg_catalog.nextval(pg_catalog.pg_get_serial_sequence('public.hotspots', 'id')))), '{}')
  into refs from (
    select * from pg_catalog.jsonb_to_recordset(result -> 'episodes') as e(ref int, id bigint) order by ref) e;
  insert into public.hotspots (id, entity, entity_type, event_type, predicted_co2, baseline_co2, percent_above, severity, peak_severity,
    status, event_id, phase, series, rule, excess_kg, reason, occurred_at, last_seen_at, drivers, announced, resolution, resolved_at)
  overriding system value
  select (refs ->> (e.part ->> 'ref'))::bigint, r.entity, r.entity_type, r.event_type, r.predicted_co2, r.baseline_co2, r.percent_above,
    r.severity, coalesce(r.peak_severity, r.severity), r.status, r.event_id, r.phase, r.series, r.rule, r.excess_kg,
    pg_catalog.left(r.reason, 1000), r.occurred_at, r.last_seen_at, r.drivers, r.announced, r.resolution,
    case when r.status = 'resolved' then pg_catalog.clock_timestamp() end
  from pg_catalog.jsonb_array_elements(result -> 'episodes') as e(part),
    lateral pg_catalog.jsonb_populate_record(null::public.hotspots, e.part) r
  where e.part ->> 'id' is null
  on conflict (entity, entity_type, event_type) where status = 'active' do nothing;
  get diagnostics changed = row_count;
  expected := pg_catalog.jsonb_array_length(result -> 'episodes') - expected;
  if changed <> expected then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('%s of %s new episodes are open already', expected - changed, expected), hint = 'episode';
  end if;
  update public.hotspots h set previous_id = (
    select pg_catalog.max(f.id) from public.hotspots f
    where f.entity = h.entity and f.event_type = h.event_type and f.entity_type = h.entity_type and f.id < h.id)
  from pg_catalog.jsonb_to_recordset(result -> 'episodes') as e(ref int, id bigint, reopens boolean)
  where e.id is null and e.reopens and h.id = (refs ->> e.ref::text)::bigint;

  select coalesce(pg_catalog.jsonb_agg(
    e.part || pg_catalog.jsonb_build_object('hotspot', refs -> (e.part ->> 'ref')) order by e.n), '[]')
  into proposed from pg_catalog.jsonb_array_elements(result -> 'alerts') with ordinality as e(part, n);
  told := public.write_alerts(proposed, (result ->> 'now')::timestamptz, (result ->> 'cooldown_seconds')::double precision);
  perform public.write_advice(refs, result -> 'advised', result -> 'recommendations');

  select pg_catalog.jsonb_build_object(
    'opened', pg_catalog.count(*) filter (where e ->> 'id' is null),
    'updated', pg_catalog.count(*) filter (where e ->> 'id' is not null),
    'resolved', pg_catalog.count(*) filter (where e ->> 'status' = 'resolved'),
    'alerts', told,
    'notices', pg_catalog.jsonb_array_length(result -> 'notices'),
    'rebuilds', pg_catalog.jsonb_array_length(result -> 'rebuilds'),
    'recommendations', pg_catalog.jsonb_array_length(result -> 'recommendations'))
  into counts from pg_catalog.jsonb_array_elements(result -> 'episodes') e;
  return counts;
end $$;
comment on function public.write_findings(jsonb) is 'Part of commit_batch and commit_pass.';
revoke execute on function public.write_findings(jsonb) from public, anon, authenticated, service_role;
grant execute on function public.write_findings(jsonb) to service_role;

-- A pass is work on keys without events of a batch: folding a past anew, looking after silence, hearing words.
create function public.commit_pass(holder uuid, token bigint, pass uuid, result jsonb) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '30s' as $$
declare
  counts jsonb;
begin
  perform public.hold_lease(holder, token);
  select b.result into counts from public.batches b where b.id = commit_pass.pass;
  if found then
    return counts;
  end if;
  counts := public.write_findings(result);
  perform public.forget_periods(coalesce(result -> 'rebuilt', '[]') || coalesce(result -> 'settled', '[]'));
  perform public.write_periods(coalesce(result -> 'periods', '[]'));
  -- Before all of the key's events are there, history would have to be folded anew with each batch of it.
  update public.rebuilds r set state = 'settling'
  from pg_catalog.jsonb_to_recordset(result -> 'rebuilt') as k(entity text, entity_type text, event_type text)
  where r.entity = k.entity and r.entity_type = k.entity_type and r.event_type = k.event_type and r.state = 'queued';
  delete from public.rebuilds r
  using pg_catalog.jsonb_to_recordset(result -> 'settled') as k(entity text, entity_type text, event_type text)
  where r.entity = k.entity and r.entity_type = k.entity_type and r.event_type = k.event_type;
  insert into public.batches (id, token, events, committed_at, result)
  values (pass, commit_pass.token, 0, pg_catalog.clock_timestamp(), counts);
  return counts;
end $$;
comment on function public.commit_pass(uuid, bigint, uuid, jsonb) is
  'Writes what a pass without events led to, once: the same pass again gets the same answer.';
revoke execute on function public.commit_pass(uuid, bigint, uuid, jsonb) from public, anon, authenticated, service_role;
grant execute on function public.commit_pass(uuid, bigint, uuid, jsonb) to service_role;

create function public.next_rebuild(holder uuid, token bigint, lease_seconds int, drained boolean) returns jsonb
language plpgsql set search_path = '' as $$
declare
  wanted public.rebuilds;
begin
  perform public.hold_lease(holder, token);
  update public.leases l set until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_seconds) where l.name = 'scan';
  if drained then
    -- Nothing is claimable: what settles and had nothing late since is as it would have been in order.
    delete from public.rebuilds r where r.state = 'settling' and not exists (
      select from public.detector_keys k
      where k.entity = r.entity and k.entity_type = r.entity_type and k.event_type = r.event_type and k.late > 0);
  end if;
  select r.* into wanted from public.rebuilds r
  where r.state = 'queued' or drained order by r.requested_at, r.entity, r.event_type limit 1;
  if not found then
    return '{"key": null}';
  end if;
  return pg_catalog.jsonb_build_object('key', pg_catalog.jsonb_build_object(
    'entity', wanted.entity, 'entity_type', wanted.entity_type, 'event_type', wanted.event_type),
    'reason', wanted.reason, 'settled', wanted.state = 'settling');
end $$;
comment on function public.next_rebuild(uuid, bigint, int, boolean) is
  'Names the next key whose past is to be folded anew and renews the lease; drained says that no event is pending.';
revoke execute on function public.next_rebuild(uuid, bigint, int, boolean) from public, anon, authenticated, service_role;
grant execute on function public.next_rebuild(uuid, bigint, int, boolean) to service_role;

create function public.past_of_key(
  holder uuid, token bigint, lease_seconds int, key jsonb, after_time timestamptz, after_id bigint, size int
) returns jsonb
language plpgsql set search_path = '' as $$
declare
  first constant boolean := after_time is null;
  page jsonb;
begin
  perform public.hold_lease(holder, token);
  update public.leases l set until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_seconds) where l.name = 'scan';
  select coalesce(pg_catalog.jsonb_agg(
    pg_catalog.jsonb_build_object('event', pg_catalog.to_jsonb(e), 'prediction', (
      select pg_catalog.to_jsonb(p) from public.predictions p where p.event_id = e.id order by p.created_at desc limit 1))
    order by e."timestamp", e.id), '[]')
  into page from (
    select * from public.events_normalized e
    where e.supplier_id = key ->> 'entity' and e.event_type = key ->> 'event_type'
      and (first or (e."timestamp", e.id) > (after_time, after_id))
      and exists (select from public.predictions p where p.event_id = e.id)
      and not exists (select from public.quarantine r where r.event_id = e.id and r.state <> 'released')
    order by e."timestamp", e.id limit least(greatest(size, 1), 2000)
  ) e;
  return pg_catalog.jsonb_build_object(
    'events', page,
    'inputs', case when first then coalesce((
      select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(i) order by i.id) from public.detector_inputs i
      where i.entity = key ->> 'entity' and i.entity_type = key ->> 'entity_type' and i.event_type = key ->> 'event_type'), '[]') end,
    'state', case when first then public.keys_state(pg_catalog.jsonb_build_array(key)) end);
end $$;
comment on function public.past_of_key(uuid, bigint, int, jsonb, timestamptz, bigint, int) is
  'The events of a key that were worked off, with their predictions, in order of event time, a page at a time; with the first page what was said and what is open. Renews the lease.';
revoke execute on function public.past_of_key(uuid, bigint, int, jsonb, timestamptz, bigint, int) from public, anon, authenticated, service_role;
grant execute on function public.past_of_key(uuid, bigint, int, jsonb, timestamptz, bigint, int) to service_role;

create function public.due_keys(holder uuid, token bigint, lease_seconds int, clock timestamptz, size int) returns jsonb
language plpgsql set search_path = '' as $$
declare
  due jsonb;
  now_there constant timestamptz := coalesce(clock, (select pg_catalog.max(k.newest_at) from public.detector_keys k));
begin
  perform public.hold_lease(holder, token);
  update public.leases l set until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_seconds) where l.name = 'scan';
  select coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(due_key)), '[]') into due from (
    select * from (
      (select k.entity, k.entity_type, k.event_type from public.detector_keys k where k.due_at <= now_there order by k.due_at limit size)
      union
      (select i.entity, i.entity_type, i.event_type from public.detector_inputs i where not i.applied order by i.id limit size)
    ) both_kinds order by 1, 2, 3 limit size
  ) due_key;
  return public.keys_state(due) || pg_catalog.jsonb_build_object('due', due, 'now', now_there);
end $$;
comment on function public.due_keys(uuid, bigint, int, timestamptz, int) is
  'Keys that are silent at this time (the newest event time for null), have days to close, or words to hear, with their state; renews the lease.';
revoke execute on function public.due_keys(uuid, bigint, int, timestamptz, int) from public, anon, authenticated, service_role;
grant execute on function public.due_keys(uuid, bigint, int, timestamptz, int) to service_role;

create function public.announce_open_episodes(
  holder uuid, token bigint, clock timestamptz default null, cooldown_seconds double precision default 0
) returns jsonb
language plpgsql set search_path = '' as $$
declare
  proposed jsonb;
begin
  perform public.hold_lease(holder, token);
  perform pg_catalog.set_config('hotspots.by_engine', 'on', true);
  -- It has lasted until its newest event: that is where the cool-down is over or not.
  select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
    'hotspot', h.id, 'kind', case when h.previous_id is null then 'opened' else 'reopened' end, 'level', h.severity,
    'message', h.entity || ': ' || h.reason, 'reason', h.reason, 'occurred_at', h.last_seen_at) order by h.id), '[]')
  into proposed from (
    select * from public.hotspots o where o.status = 'active' and not o.announced order by o.id for update) h;
  return pg_catalog.jsonb_build_object('alerts', public.write_alerts(proposed, clock, cooldown_seconds));
end $$;
comment on function public.announce_open_episodes(uuid, bigint, timestamptz, double precision) is
  'Tells of episodes that are still open when everything is worked off: of the past, or kept back by a silence or cool-down that is over.';
revoke execute on function public.announce_open_episodes(uuid, bigint, timestamptz, double precision) from public, anon, authenticated, service_role;
grant execute on function public.announce_open_episodes(uuid, bigint, timestamptz, double precision) to service_role;
create index hotspots_unannounced on public.hotspots (id) where status = 'active' and not announced;

-- The first rule compared kg per event, so it measured size. What it held open is closed, what it learned is gone with its table,
-- and the past is folded anew by the next scan.
do $$
begin
  perform pg_catalog.set_config('hotspots.by_engine', 'on', true);
  update public.hotspots set status = 'resolved', resolution = 'superseded', resolved_at = pg_catalog.clock_timestamp(),
    occurred_at = created_at, last_seen_at = created_at, excess_kg = predicted_co2 - baseline_co2,
    reason = 'found by the former rule, which compared kg per event; judged anew'
  where status = 'active';
  update public.hotspots set occurred_at = created_at, last_seen_at = created_at, excess_kg = predicted_co2 - baseline_co2,
    reason = 'found by the former rule, which compared kg per event'
  where reason = '';
  perform public.request_rebuilds(null, 'new detectors');
  perform pg_catalog.set_config('hotspots.by_engine', 'off', true);
end $$;
