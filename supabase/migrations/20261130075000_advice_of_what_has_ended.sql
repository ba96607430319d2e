-- Advice on an episode that ends in the same commit in which it grew has the month of its end, not that of its opening: of a file of
-- the past, which is judged at once, it said what the first bad trip had cost.

create or replace function public.write_advice(refs jsonb, advised jsonb, advice jsonb) returns void
language sql set search_path = '' as $$
  delete from public.recommendations old
  where old.status = 'pending' and old.rule is not null
    and old.hotspot_id in (select (refs ->> e.ref)::bigint from pg_catalog.jsonb_array_elements_text(advised) as e(ref))
    and not exists (select from pg_catalog.jsonb_array_elements(advice) as a(part)
      where (refs ->> (a.part ->> 'ref'))::bigint = old.hotspot_id and a.part ->> 'source' = old.source and a.part ->> 'rule' = old.rule);
  insert into public.recommendations as old (hotspot_id, action, co2_reduction, root_cause, source, rule, driver, actual, usual, unit,
    co2_reduction_month)
  select (refs ->> (a.part ->> 'ref'))::bigint, r.action, r.co2_reduction, r.root_cause, r.source, r.rule, r.driver, r.actual, r.usual,
    r.unit, r.co2_reduction_month
  from pg_catalog.jsonb_array_elements(advice) with ordinality as a(part, n),
    lateral pg_catalog.jsonb_populate_record(null::public.recommendations, a.part) r
  order by a.n
  on conflict (hotspot_id, source, rule) where rule is not null do update set
    action = excluded.action, co2_reduction = excluded.co2_reduction, root_cause = excluded.root_cause, driver = excluded.driver,
    actual = excluded.actual, usual = excluded.usual, unit = excluded.unit, co2_reduction_month = excluded.co2_reduction_month
  where old.status = 'pending';
  update public.recommendations r set co2_reduction_month = fresh.month
  from (
    select o.id, case when h.status = 'active' then 0.1 else 0 end as tolerance, pg_catalog.floor(
      100 * o.co2_reduction * public.monthly_excess_kg(h) / nullif(h.predicted_co2 - h.baseline_co2, 0)) / 100 as month
    from pg_catalog.jsonb_each_text(refs) e join public.hotspots h on h.id = e.value::bigint
      join public.recommendations o on o.hotspot_id = h.id
    where o.status = 'pending' and o.rule is not null) fresh
  where r.id = fresh.id and pg_catalog.abs(fresh.month - r.co2_reduction_month) > fresh.tolerance * r.co2_reduction_month
$$;
comment on column public.recommendations.co2_reduction_month is 'kg CO2e that it can save in 30 days at the rate of the hotspot so far, the same part of monthly_excess_kg as co2_reduction is of the excess shown; within a tenth while it is pending and the hotspot is active, of one that has ended at the rate while it lasted.';
