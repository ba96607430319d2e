-- Computing stored events anew: when factors, formulas, the country or what is fixed for a supplier change.

create table public.recomputes (
  id bigint generated always as identity primary key,
  supplier_id text check (length(supplier_id) <= 200),
  basis jsonb not null,
  reason text not null check (length(reason) <= 500),
  upto bigint not null,
  done_to bigint not null default 0,
  total bigint not null,
  events bigint not null default 0,
  changed bigint not null default 0,
  quarantined bigint not null default 0,
  requeued bigint not null default 0,
  state text not null default 'running' check (state in ('running', 'done', 'superseded')),
  created_at timestamptz not null default now(),
  finished_at timestamptz
);
comment on table public.recomputes is 'One row per recomputation of stored events, worked off under the scan lease, page by page.';
comment on column public.recomputes.supplier_id is 'Whose events; null: all.';
comment on column public.recomputes.basis is 'Factor set, checksum, version of the formulas and grid country that it was asked with.';
comment on column public.recomputes.upto is 'The newest event when it was asked for; later ones are computed that way anyway.';
comment on column public.recomputes.done_to is 'Every event up to this one is done: where it goes on after an interruption.';
comment on column public.recomputes.total is 'Events to compute, when it was asked for.';
create index recomputes_running on public.recomputes (id) where state = 'running';
alter table public.recomputes enable row level security;
revoke all on public.recomputes from anon, authenticated, service_role;
revoke all on sequence public.recomputes_id_seq from anon, authenticated, service_role;
grant select, insert, update, delete on public.recomputes to service_role;

-- The class of a supplier's trucks by the largest of its newest 200 loads. `classes` is [[class, payload in kg], ...], smallest first.
create function public.learn_classes(supplier text, classes jsonb, again boolean) returns int
language plpgsql set search_path = '' as $$
declare
  learned int;
begin
  with loads as (
    select e.supplier_id, e.load_kg, pg_catalog.row_number() over (partition by e.supplier_id order by e.id desc) as place
    from public.events_normalized e
    where (supplier is null or e.supplier_id = supplier) and e.event_type in ('logistics', 'delivery')
      and e.load_kg >= 0 and e.load_kg <= 60000 and e.vehicle_class is null and e.shared_vehicle is not true
      and pg_catalog.regexp_replace(pg_catalog.lower(pg_catalog.btrim(e.vehicle_type)), '[ -]', '_', 'g')
        ~ '^(truck|truck_.*|diesel_truck|cng_truck)$'
      and not exists (select from public.quarantine q where q.event_id = e.id and q.state <> 'released')
      and not exists (select from public.suppliers s where s.supplier_id = e.supplier_id and (
        s.vehicle_class_origin = 'person' or (s.vehicle_class_origin = 'loads' and not again)))
  ), known as (
    select l.supplier_id, pg_catalog.count(*) as number, pg_catalog.max(l.load_kg) as largest from loads l where l.place <= 200
    group by l.supplier_id having pg_catalog.count(*) >= 12
  ), classed as (
    select k.*, coalesce(
      (select c.value ->> 0 from pg_catalog.jsonb_array_elements(classes) with ordinality c
       where (c.value ->> 1)::double precision >= k.largest order by c.ordinality limit 1),
      classes -> -1 ->> 0) as class
    from known k
  )
  insert into public.suppliers as old (supplier_id, vehicle_class, vehicle_class_origin, loads, largest_load_kg)
  select c.supplier_id, c.class, 'loads', c.number, c.largest from classed c where c.class is not null
  on conflict (supplier_id) do update set vehicle_class = excluded.vehicle_class, vehicle_class_origin = 'loads',
    loads = excluded.loads, largest_load_kg = excluded.largest_load_kg, updated_at = pg_catalog.clock_timestamp();
  get diagnostics learned = row_count;
  return learned;
end $$;
comment on function public.learn_classes(text, jsonb, boolean) is
  'Sets the class of trucks of one supplier, or of all for null, by its loads; one that a person set stays, one from loads unless again.';
revoke execute on function public.learn_classes(text, jsonb, boolean) from public, anon, authenticated, service_role;
grant execute on function public.learn_classes(text, jsonb, boolean) to service_role;

create function public.request_recompute(supplier text, reason text, basis jsonb, classes jsonb, relearn boolean) returns jsonb
language plpgsql set search_path = '' as $$
declare
  made public.recomputes;
begin
  perform public.learn_classes(supplier, classes, relearn);
  -- One that runs with the same basis and changes nothing else goes on where it is.
  select r.* into made from public.recomputes r
  where r.state = 'running' and r.basis = request_recompute.basis and r.supplier_id is not distinct from supplier
    and (not relearn or r.done_to = 0)
  order by r.id limit 1;
  if not found then
    if supplier is null then
      update public.recomputes r set state = 'superseded', finished_at = pg_catalog.clock_timestamp() where r.state = 'running';
    end if;
    insert into public.recomputes (supplier_id, basis, reason, upto, total)
    select supplier, request_recompute.basis, request_recompute.reason, coalesce(pg_catalog.max(e.id), 0), pg_catalog.count(*)
    from public.events_normalized e
    where (supplier is null or e.supplier_id = supplier)
      and not exists (select from public.event_queue q where q.event_id = e.id)
    returning * into made;
  end if;
  if not exists (select from public.scans s where s.status = 'queued') then
    insert into public.scans (reason) values ('recompute');
  end if;
  return pg_catalog.to_jsonb(made);
end $$;
comment on function public.request_recompute(text, text, jsonb, jsonb, boolean) is
  'Asks for the recomputation of one supplier''s events, or of all for null; the next scan works it off. One that is under way goes on.';
revoke execute on function public.request_recompute(text, text, jsonb, jsonb, boolean) from public, anon, authenticated, service_role;
grant execute on function public.request_recompute(text, text, jsonb, jsonb, boolean) to service_role;

create function public.set_supplier(supplier text, changes jsonb, basis jsonb, classes jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  wanted public.suppliers;
  unknown text;
begin
  select k into unknown from pg_catalog.jsonb_object_keys(changes) k
  where k not in ('vehicle_class', 'vehicle_capacity_kg', 'country', 'operated_by') limit 1;
  if found then
    raise exception 'a supplier has no %', unknown using errcode = '22023';
  end if;
  insert into public.suppliers (supplier_id) values (supplier) on conflict (supplier_id) do nothing;
  select s.* into strict wanted from public.suppliers s where s.supplier_id = supplier for update;
  wanted := pg_catalog.jsonb_populate_record(wanted, changes);
  update public.suppliers s set
    vehicle_class = wanted.vehicle_class,
    vehicle_class_origin = case when not changes ? 'vehicle_class' then s.vehicle_class_origin
      when wanted.vehicle_class is not null then 'person' end,
    vehicle_capacity_kg = wanted.vehicle_capacity_kg,
    vehicle_capacity_kg_origin = case when wanted.vehicle_capacity_kg is not null then 'person' end,
    country = wanted.country, country_origin = case when wanted.country is not null then 'person' end,
    operated_by = wanted.operated_by, operated_by_origin = case when wanted.operated_by is not null then 'person' end,
    updated_at = pg_catalog.clock_timestamp()
  where s.supplier_id = supplier;
  update public.recomputes r set state = 'superseded', finished_at = pg_catalog.clock_timestamp()
  where r.state = 'running' and r.supplier_id = supplier;
  return public.request_recompute(supplier, 'a person changed the supplier', basis, classes, false);
end $$;
comment on function public.set_supplier(text, jsonb, jsonb, jsonb) is
  'Sets what holds for a supplier (null takes it back) and asks for the recomputation of its events, so that all are computed alike.';
revoke execute on function public.set_supplier(text, jsonb, jsonb, jsonb) from public, anon, authenticated, service_role;
grant execute on function public.set_supplier(text, jsonb, jsonb, jsonb) to service_role;

create function public.next_recompute(
  holder uuid, token bigint, lease_seconds int, basis jsonb default null, classes jsonb default null
) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '30s' as $$
declare
  newest jsonb;
  differs text;
  wanted public.recomputes;
begin
  perform public.hold_lease(holder, token);
  update public.leases l set until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_seconds) where l.name = 'scan';
  if basis is not null then
    select r.basis into newest from public.recomputes r where r.supplier_id is null order by r.id desc limit 1;
    if newest is distinct from next_recompute.basis then
      if exists (select from public.predictions) or exists (select from public.quarantine) then
        select pg_catalog.string_agg(
          pg_catalog.format('%s was %s and is %s', k.key, coalesce(newest ->> k.key, 'not set'), coalesce(k.value #>> '{}', 'not set')),
          ', ' order by k.key)
        into differs from pg_catalog.jsonb_each(next_recompute.basis) k
        where newest is not null and newest -> k.key is distinct from k.value;
        perform public.request_recompute(null, pg_catalog.left(coalesce(differs, 'first start of a worker with emission factors'), 500),
          next_recompute.basis, classes, false);
      else
        insert into public.recomputes (basis, reason, upto, total, state, finished_at)
        values (next_recompute.basis, 'the first start: nothing to compute', 0, 0, 'done', pg_catalog.clock_timestamp());
      end if;
    end if;
  end if;
  select r.* into wanted from public.recomputes r where r.state = 'running' order by r.id limit 1;
  return pg_catalog.jsonb_build_object('recompute', case when found then pg_catalog.to_jsonb(wanted) end);
end $$;
comment on function public.next_recompute(uuid, bigint, int, jsonb, jsonb) is
  'Names the oldest recomputation that is not done and renews the lease. With a basis that differs from the last one asks for that of all events.';
revoke execute on function public.next_recompute(uuid, bigint, int, jsonb, jsonb) from public, anon, authenticated, service_role;
grant execute on function public.next_recompute(uuid, bigint, int, jsonb, jsonb) to service_role;

create function public.recompute_page(holder uuid, token bigint, lease_seconds int, recompute bigint, size int) returns jsonb
language plpgsql set search_path = '' as $$
declare
  work public.recomputes;
  page jsonb;
begin
  perform public.hold_lease(holder, token);
  update public.leases l set until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_seconds) where l.name = 'scan';
  select r.* into strict work from public.recomputes r where r.id = recompute;
  select coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(e) || pg_catalog.jsonb_build_object(
    'released', coalesce(q.state = 'released', false), 'held', coalesce(q.state = 'held', false)) order by e.id), '[]')
  into page from (
    select e.* from public.events_normalized e
    where e.id > work.done_to and e.id <= work.upto and (work.supplier_id is null or e.supplier_id = work.supplier_id)
      and not exists (select from public.event_queue w where w.event_id = e.id)
      and not exists (select from public.quarantine x where x.event_id = e.id and (x.state = 'dropped' or x.kind = 'size'))
    order by e.id limit least(greatest(size, 1), 500)
  ) e left join public.quarantine q on q.event_id = e.id;
  return pg_catalog.jsonb_build_object(
    'events', page, 'from', work.done_to,
    'to', case when pg_catalog.jsonb_array_length(page) < least(greatest(size, 1), 500) then work.upto
      else (page -> -1 ->> 'id')::bigint end,
    'suppliers', coalesce((
      select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(s)) from public.suppliers s
      where s.supplier_id in (select p ->> 'supplier_id' from pg_catalog.jsonb_array_elements(page) p)), '[]'));
end $$;
comment on function public.recompute_page(uuid, bigint, int, bigint, int) is
  'The next events of a recomputation with what is fixed for their suppliers; renews the lease. What waits to be judged is computed then.';
revoke execute on function public.recompute_page(uuid, bigint, int, bigint, int) from public, anon, authenticated, service_role;
grant execute on function public.recompute_page(uuid, bigint, int, bigint, int) to service_role;

create function public.commit_recompute(
  holder uuid, token bigint, recompute bigint, done_from bigint, done_to bigint, result jsonb
) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '30s' as $$
declare
  work public.recomputes;
  rows jsonb;
  computed int;
  different int;
  held int;
  again int;
begin
  perform public.hold_lease(holder, token);
  select r.* into strict work from public.recomputes r where r.id = recompute for update;
  if work.done_to >= commit_recompute.done_to and work.done_to > done_from then
    return pg_catalog.to_jsonb(work); -- a repetition whose first answer was lost
  end if;
  if work.state <> 'running' or work.done_to <> done_from then
    raise sqlstate 'PT409' using message = pg_catalog.format('recomputation %s has moved', recompute), hint = 'events';
  end if;

  -- The verdict on the event stays, whatever its kilograms become, and what is usual moves with them until the past is folded anew. Whole rows, so that columns of later migrations are stored too.
  select coalesce(pg_catalog.jsonb_agg(p.value || coalesce((
      select pg_catalog.jsonb_build_object(
        'hotspot', pg_catalog.bool_or(old.hotspot),
        'expected_kg', pg_catalog.max(pg_catalog.round(
          (old.expected_kg * (p.value ->> 'predicted_co2')::double precision / nullif(old.predicted_co2, 0))::numeric, 3))
          filter (where old.superseded_at is null),
        'spread', pg_catalog.max(old.spread) filter (where old.superseded_at is null),
        'day', coalesce(pg_catalog.max(old.day) filter (where old.superseded_at is null), pg_catalog.max(old.day)),
        'occurred_at', pg_catalog.max(old.occurred_at))
      from public.predictions old where old.event_id = (p.value ->> 'event_id')::bigint having pg_catalog.count(*) > 0),
      '{"hotspot": false}') || pg_catalog.jsonb_build_object('created_at', pg_catalog.clock_timestamp())), '[]'),
    pg_catalog.count(*) filter (where not exists (
      select from public.predictions old
      where old.event_id = (p.value ->> 'event_id')::bigint and old.factor_set = p.value ->> 'factor_set'
        and old.predicted_co2 = (p.value ->> 'predicted_co2')::double precision and old.method = p.value ->> 'method')),
    pg_catalog.count(*)
  into rows, different, computed
  from pg_catalog.jsonb_array_elements(result -> 'predictions') p
  where exists (select from public.events_normalized e where e.id = (p.value ->> 'event_id')::bigint);
  delete from public.predictions old using pg_catalog.jsonb_to_recordset(rows) as p(event_id bigint, factor_set text)
  where old.event_id = p.event_id and old.factor_set = p.factor_set;
  insert into public.predictions select p.* from pg_catalog.jsonb_populate_recordset(null::public.predictions, rows) p;

  insert into public.quarantine as old (event_id, entity, event_type, kind, reason, column_name, raw_value)
  select e.id, e.supplier_id, e.event_type, r.kind, pg_catalog.left(r.reason, 1000), r.column_name, pg_catalog.left(r.raw_value, 1000)
  from pg_catalog.jsonb_to_recordset(result -> 'quarantined') as r(event_id bigint, kind text, reason text, column_name text, raw_value text)
  join public.events_normalized e on e.id = r.event_id
  on conflict (event_id) do update set state = 'held', kind = excluded.kind, reason = excluded.reason,
    column_name = excluded.column_name, raw_value = excluded.raw_value, decided_at = null;
  get diagnostics held = row_count;
  delete from public.predictions p using pg_catalog.jsonb_to_recordset(result -> 'quarantined') as r(event_id bigint)
  where p.event_id = r.event_id and p.factor_set = work.basis ->> 'factor_set';
  update public.predictions p set superseded_at = pg_catalog.clock_timestamp()
  from pg_catalog.jsonb_to_recordset(result -> 'quarantined') as r(event_id bigint)
  where p.event_id = r.event_id and p.superseded_at is null;

  with mended as (
    delete from public.quarantine q using pg_catalog.jsonb_array_elements_text(result -> 'requeued') m
    where q.event_id = m::bigint and q.state = 'held' returning q.event_id
  )
  insert into public.event_queue (event_id) select event_id from mended on conflict (event_id) do nothing;
  get diagnostics again = row_count;

  update public.recomputes r set
    done_to = commit_recompute.done_to, events = r.events + computed, changed = r.changed + different,
    quarantined = r.quarantined + held, requeued = r.requeued + again,
    state = case when commit_recompute.done_to >= r.upto then 'done' else 'running' end,
    finished_at = case when commit_recompute.done_to >= r.upto then pg_catalog.clock_timestamp() end
  where r.id = recompute returning r.* into work;
  -- What is usual was learned from the former kilograms.
  if work.state = 'done' and work.changed + work.quarantined > 0
    and pg_catalog.to_regprocedure('public.request_rebuilds(text[], text)') is not null then
    perform public.request_rebuilds(case when work.supplier_id is not null then array[work.supplier_id] end, 'recomputed kilograms');
  end if;
  return pg_catalog.to_jsonb(work);
end $$;
comment on function public.commit_recompute(uuid, bigint, bigint, bigint, bigint, jsonb) is
  'Stores what a page of a recomputation led to and moves on, once; the last page has the past of its keys folded anew.';
revoke execute on function public.commit_recompute(uuid, bigint, bigint, bigint, bigint, jsonb) from public, anon, authenticated, service_role;
grant execute on function public.commit_recompute(uuid, bigint, bigint, bigint, bigint, jsonb) to service_role;

-- What looks through all events gets more time than hosted projects give by default.
alter function public.request_recompute(text, text, jsonb, jsonb, boolean) set statement_timeout = '30s';
alter function public.set_supplier(text, jsonb, jsonb, jsonb) set statement_timeout = '30s';
