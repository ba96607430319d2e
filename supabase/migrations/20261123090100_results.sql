-- What goes out: the three tables that the relay carries, their stamps and their deletions.

-- Stamps order the versions of one row (version) and let a reader ask for all that a snapshot did not show (tx).
-- They belong to the trigger: what a writer puts into them is overwritten. Updating an indexed column ends HOT
-- updates on these tables; the cursor is worth it.
create function public.stamp() returns trigger
language plpgsql set search_path = '' as $$
begin
  if tg_op = 'INSERT' then
    new.version := 1;
  else
    if new.id <> old.id then
      raise exception '%.id never changes', tg_table_name using errcode = '23001';
    end if;
    new.version := old.version;
    new.tx := old.tx;
    new.changed_at := old.changed_at;
    if new is not distinct from old then
      return new;
    end if;
    new.version := old.version + 1;
  end if;
  new.tx := pg_catalog.pg_current_xact_id()::text::bigint;
  new.changed_at := pg_catalog.clock_timestamp();
  return new;
end $$;
revoke execute on function public.stamp() from public, anon, authenticated, service_role;

create table public.deletions (
  tx bigint not null,
  t int not null check (t between 1 and 3),
  id bigint not null,
  version int not null,
  primary key (tx, t, id)
);
comment on table public.deletions is 'One row per deleted row of hotspots (t = 1), alerts (2) and recommendations (3): how a reader that polls learns of it.';
alter table public.deletions enable row level security;
revoke all on public.deletions from anon, authenticated, service_role;
grant select on public.deletions to authenticated, service_role;
create policy "Signed-in users read deletions" on public.deletions for select to authenticated using (true);

-- Definer: nobody but this trigger writes deletions.
create function public.bury() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.deletions (tx, t, id, version)
  select pg_catalog.pg_current_xact_id()::text::bigint, tg_argv[0]::int, id, version + 1 from old_rows;
  return null;
end $$;
revoke execute on function public.bury() from public, anon, authenticated, service_role;

create function public.refuse_truncate() returns trigger
language plpgsql set search_path = '' as $$
begin
  raise exception 'truncate of % is invisible to its readers; delete the rows', tg_table_name using errcode = '0A000';
end $$;
revoke execute on function public.refuse_truncate() from public, anon, authenticated, service_role;

create table public.hotspots (
  id bigint generated always as identity primary key,
  entity text not null,
  entity_type text not null check (entity_type in ('supplier', 'route', 'factory', 'warehouse')),
  event_type text not null check (event_type in ('logistics', 'factory', 'warehouse', 'delivery')),
  predicted_co2 double precision not null,
  baseline_co2 double precision not null,
  percent_above double precision not null,
  severity text not null check (severity in ('info', 'warn', 'critical')),
  status text not null default 'active' check (status in ('active', 'resolved', 'ignored')),
  event_id bigint,
  created_at timestamptz not null default now(),
  resolved_at timestamptz,
  version int not null default 1,
  tx bigint not null default 0,
  changed_at timestamptz not null default now()
);
comment on table public.hotspots is 'One row per episode: an entity above its baseline, from opening to resolution. It shows the worst event so far.';
comment on column public.hotspots.predicted_co2 is 'kg CO2 of the worst event';
comment on column public.hotspots.percent_above is '(predicted - baseline) / baseline * 100';
comment on column public.hotspots.event_id is 'The worst event. No foreign key: events may be pruned before their episode.';
create unique index hotspots_open_episode on public.hotspots (entity, entity_type, event_type) where status = 'active';
create index hotspots_changes on public.hotspots (tx, id);
create index hotspots_status on public.hotspots (status, id desc);
alter table public.hotspots enable row level security;
revoke all on public.hotspots from anon, authenticated, service_role;
revoke all on sequence public.hotspots_id_seq from anon, authenticated, service_role;
grant select on public.hotspots to authenticated;
grant select, insert, update, delete on public.hotspots to service_role;
create policy "Signed-in users read hotspots" on public.hotspots for select to authenticated using (true);
create trigger stamp before insert or update on public.hotspots for each row execute function public.stamp();
create trigger bury after delete on public.hotspots referencing old table as old_rows for each statement execute function public.bury('1');
create trigger refuse_truncate before truncate on public.hotspots for each statement execute function public.refuse_truncate();

create table public.alerts (
  id bigint generated always as identity primary key,
  hotspot_id bigint not null references public.hotspots (id) on delete cascade,
  kind text not null default 'opened' check (kind in ('opened', 'escalated', 'resolved')),
  level text not null check (level in ('info', 'warn', 'critical')),
  message text not null,
  acknowledged boolean not null default false,
  acknowledged_at timestamptz,
  created_at timestamptz not null default now(),
  version int not null default 1,
  tx bigint not null default 0,
  changed_at timestamptz not null default now()
);
comment on table public.alerts is 'One row per notification of an episode: opened, escalated, resolved.';
create index alerts_hotspot on public.alerts (hotspot_id);
create index alerts_unacknowledged on public.alerts (id desc) where not acknowledged;
create index alerts_changes on public.alerts (tx, id);
alter table public.alerts enable row level security;
revoke all on public.alerts from anon, authenticated, service_role;
revoke all on sequence public.alerts_id_seq from anon, authenticated, service_role;
grant select on public.alerts to authenticated;
grant select, insert, update, delete on public.alerts to service_role;
create policy "Signed-in users read alerts" on public.alerts for select to authenticated using (true);
create trigger stamp before insert or update on public.alerts for each row execute function public.stamp();
create trigger bury after delete on public.alerts referencing old table as old_rows for each statement execute function public.bury('2');
create trigger refuse_truncate before truncate on public.alerts for each statement execute function public.refuse_truncate();

create table public.recommendations (
  id bigint generated always as identity primary key,
  hotspot_id bigint not null references public.hotspots (id) on delete cascade,
  action text not null,
  co2_reduction double precision not null check (co2_reduction >= 0),
  root_cause text,
  source text not null default 'rules',
  status text not null default 'pending' check (status in ('pending', 'approved', 'rejected', 'implemented')),
  created_at timestamptz not null default now(),
  version int not null default 1,
  tx bigint not null default 0,
  changed_at timestamptz not null default now()
);
comment on table public.recommendations is 'One row per proposed action for an episode.';
comment on column public.recommendations.action is 'The advice and nothing else: a decision is the same row with another status.';
comment on column public.recommendations.co2_reduction is 'kg CO2 per event of this kind';
comment on column public.recommendations.source is 'Who proposed it: rules, or the service that did.';
create index recommendations_hotspot on public.recommendations (hotspot_id);
create index recommendations_pending on public.recommendations (id desc) where status = 'pending';
create index recommendations_changes on public.recommendations (tx, id);
alter table public.recommendations enable row level security;
revoke all on public.recommendations from anon, authenticated, service_role;
revoke all on sequence public.recommendations_id_seq from anon, authenticated, service_role;
grant select on public.recommendations to authenticated;
grant select, insert, update, delete on public.recommendations to service_role;
create policy "Signed-in users read recommendations" on public.recommendations for select to authenticated using (true);
create trigger stamp before insert or update on public.recommendations for each row execute function public.stamp();
create trigger bury after delete on public.recommendations referencing old table as old_rows for each statement execute function public.bury('3');
create trigger refuse_truncate before truncate on public.recommendations for each statement execute function public.refuse_truncate();
