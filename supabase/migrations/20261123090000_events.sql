-- What comes in: events, and the queue of those that the worker has not worked off yet.
--
-- Every table and function here and in the files after this one first takes all rights away and then grants what is
-- meant: projects of before 2026 give each new one to every API role.

-- Writers of events (ingest services, the demo's generator) get a token with this role. It may insert events
-- and nothing else. PostgREST switches to it, so its login role has to be a member.
do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'event_writer') then
    create role event_writer nologin;
  end if;
  if exists (select from pg_catalog.pg_roles where rolname = 'authenticator') then
    grant event_writer to authenticator;
  end if;
end $$;
grant usage on schema public to event_writer;

create table public.events_normalized (
  id bigint generated always as identity primary key,
  source_key text unique,
  event_type text not null check (event_type in ('logistics', 'factory', 'warehouse', 'delivery')),
  supplier_id text not null check (length(supplier_id) between 1 and 200),
  "timestamp" timestamptz not null,
  distance_km double precision,
  load_kg double precision,
  vehicle_type text,
  fuel_type text,
  speed double precision,
  stop_events double precision,
  energy_kwh double precision,
  furnace_usage double precision,
  cooling_load double precision,
  shift_hours double precision,
  machine_runtime_hours double precision,
  temperature double precision,
  refrigeration_load double precision,
  inventory_volume double precision,
  route_length double precision,
  traffic_score double precision,
  delivery_count double precision,
  route_id text,
  warehouse_id text,
  factory_id text,
  is_outlier boolean not null default false,
  created_at timestamptz not null default now()
);
comment on table public.events_normalized is 'One row per supply-chain event. Written by ingest and other services, read by the worker.';
comment on column public.events_normalized.source_key is 'Hash of the normalised source row and its n-th occurrence: repeating an import adds nothing.';
comment on column public.events_normalized."timestamp" is 'When it happened, as the source says; arrival is the order of id.';
comment on column public.events_normalized.speed is 'km/h, average';
comment on column public.events_normalized.temperature is 'degrees Celsius';
comment on column public.events_normalized.inventory_volume is 'cubic metres';
comment on column public.events_normalized.traffic_score is '1 (free) to 10 (jam)';
alter table public.events_normalized enable row level security;
revoke all on public.events_normalized from anon, authenticated, service_role;
revoke all on sequence public.events_normalized_id_seq from anon, authenticated, service_role;
grant insert on public.events_normalized to event_writer;
grant select, insert, update, delete on public.events_normalized to service_role;
create policy "Event writers add events" on public.events_normalized for insert to event_writer with check (true);

create table public.event_queue (
  event_id bigint primary key references public.events_normalized (id) on delete cascade,
  state text not null default 'pending' check (state in ('pending', 'dead')),
  attempts int not null default 0,
  batch uuid,
  claimed_until timestamptz,
  last_error text,
  created_at timestamptz not null default now()
);
comment on table public.event_queue is 'One row per event that is still to be worked off. Filled by a trigger, emptied by commit_batch().';
comment on column public.event_queue.claimed_until is 'End of the claim, or of the back-off after a failure.';
create index event_queue_pending on public.event_queue (event_id) where state = 'pending';
create index event_queue_batch on public.event_queue (batch) where batch is not null;
alter table public.event_queue enable row level security;
revoke all on public.event_queue from anon, authenticated, service_role;
grant select, insert, update, delete on public.event_queue to service_role;

create table public.scans (
  id bigint generated always as identity primary key,
  status text not null default 'queued' check (status in ('queued', 'running', 'done', 'failed')),
  reason text not null,
  requested_by text,
  token bigint,
  counts jsonb,
  error text,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz
);
comment on table public.scans is 'One row per requested or recorded scan. Realtime announces a queued one to the worker.';
create index scans_unfinished on public.scans (id) where status in ('queued', 'running');
alter table public.scans enable row level security;
revoke all on public.scans from anon, authenticated, service_role;
revoke all on sequence public.scans_id_seq from anon, authenticated, service_role;
grant select on public.scans to authenticated;
grant select, insert, update, delete on public.scans to service_role;
create policy "Signed-in users read scans" on public.scans for select to authenticated using (true);

-- Definer: whoever may insert events may neither read the queue nor request scans.
-- No unique index keeps the queued row single: a second inserter would wait for the first one's commit. Two queued
-- rows are harmless, one run finishes both.
create function public.enqueue_events() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.event_queue (event_id) select id from new_rows;
  insert into public.scans (reason)
  select 'events'
  where exists (select from new_rows) and not exists (select from public.scans where status = 'queued');
  return null;
end $$;
revoke execute on function public.enqueue_events() from public, anon, authenticated, service_role;
create trigger enqueue_events after insert on public.events_normalized
referencing new table as new_rows for each statement execute function public.enqueue_events();
