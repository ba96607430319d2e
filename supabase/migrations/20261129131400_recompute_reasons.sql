-- A recomputation that starts by itself says what has changed: two workers with different settings would otherwise undo each other's work
-- without anybody seeing why. And what looks through all events gets more time than hosted projects give by default.
create or replace function public.next_recompute(
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
alter function public.request_recompute(text, text, jsonb, jsonb, boolean) set statement_timeout = '30s';
alter function public.set_supplier(text, jsonb, jsonb, jsonb) set statement_timeout = '30s';
