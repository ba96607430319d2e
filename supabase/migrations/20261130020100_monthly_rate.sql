-- What an episode wastes in a month, one rule for the worker, the page and who reads rows: a run of two days is not taken for thirty.

create function public.monthly_excess_kg(h public.hotspots) returns double precision
language sql immutable set search_path = '' as $$
  select greatest(0, h.excess_kg) * 30 / greatest(
    case when h.rule in ('shift', 'drift') then 7 else 30 end, extract(epoch from h.last_seen_at - h.occurred_at)::double precision / 86400 + 1)
$$;
comment on function public.monthly_excess_kg(public.hotspots) is
  'kg CO2e above the usual in 30 days at the rate so far: the excess by the days from the opening to the newest hot event or period, both included; at least 7 days of what lasts, 30 of what has only happened once or a few times. Over REST a column that is selected by its name.';
revoke execute on function public.monthly_excess_kg(public.hotspots) from public, anon;
grant execute on function public.monthly_excess_kg(public.hotspots) to authenticated, service_role;

comment on column public.recommendations.co2_reduction_month is 'kg CO2e that it can save in 30 days at the rate of the hotspot so far, the same part of monthly_excess_kg as co2_reduction is of the excess shown; within a tenth while it is pending.';
comment on column public.advice_rules.least_month_kg is 'Least saving in kg CO2e in 30 days at the rate of the hotspot so far.';

-- An episode that goes on, or escalates, brings the rate of its advice along, whether or not its figures are new.
create function public.write_advice(refs jsonb, advised jsonb, advice jsonb) returns void
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
    select o.id, pg_catalog.floor(
      100 * o.co2_reduction * public.monthly_excess_kg(h) / nullif(h.predicted_co2 - h.baseline_co2, 0)) / 100 as month
    from pg_catalog.jsonb_each_text(refs) e join public.hotspots h on h.id = e.value::bigint
      join public.recommendations o on o.hotspot_id = h.id
    where h.status = 'active' and o.status = 'pending' and o.rule is not null) fresh
  where r.id = fresh.id and pg_catalog.abs(fresh.month - r.co2_reduction_month) > 0.1 * r.co2_reduction_month
$$;
comment on function public.write_advice(jsonb, jsonb, jsonb) is
  'Part of write_findings: proposes actions for hotspots whose figures changed, brings pending ones up to date, and drops those of rules that do not apply any more.';
revoke execute on function public.write_advice(jsonb, jsonb, jsonb) from public, anon, authenticated, service_role;
grant execute on function public.write_advice(jsonb, jsonb, jsonb) to service_role;
