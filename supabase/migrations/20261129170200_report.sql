-- What was emitted between two days, for a report: sums of rollups, suppliers page by page.

create function public.emissions_report(
  since date, until date, per text default 'total', after text default null, entities int default 200
) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  wanted text[];
begin
  if since is null or until is null or until < since then
    raise sqlstate 'PT422' using message = 'until must not be before since';
  elsif per is null or per not in ('total', 'month', 'day') then
    raise sqlstate 'PT422' using message = 'per must be total, month or day';
  elsif entities is null or entities not between 1 and 1000 then
    raise sqlstate 'PT422' using message = 'entities must be between 1 and 1000';
  end if;
  select coalesce(pg_catalog.array_agg(e.entity order by e.entity collate "C"), '{}') into wanted from (
    select distinct r.entity collate "C" as entity from public.rollups r
    where r.day between since and until and (after is null or r.entity collate "C" > after)
    order by 1 limit entities) e;
  return pg_catalog.jsonb_build_object(
    'next', case when pg_catalog.cardinality(wanted) = entities then wanted[entities] end,
    'rows', coalesce((
      select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(s) order by s.entity collate "C", s.event_type, s.since, s.method, s.basis, s.country, s.dq)
      from (
        select d.entity, d.event_type, c.since, least(case per when 'day' then c.since
            when 'month' then (c.since + interval '1 month' - interval '1 day')::date else emissions_report.until end,
            emissions_report.until) as until,
          d.method, d.basis, d.country, d.dq, pg_catalog.sum(d.events) as events, pg_catalog.sum(d.hot) as hot,
          pg_catalog.sum(d.estimated) as estimated, pg_catalog.sum(d.judged) as judged, pg_catalog.sum(d.kg) as kg,
          pg_catalog.sum(d.kg_ttw) as kg_ttw, pg_catalog.sum(d.kg_wtt) as kg_wtt, pg_catalog.sum(d.usual_kg) as usual_kg,
          pg_catalog.sum(d.excess_kg) as excess_kg, pg_catalog.sum(d.activity) as activity,
          pg_catalog.round(pg_catalog.sum(d.activity_kg) / nullif(pg_catalog.sum(d.activity), 0), 9) as intensity,
          pg_catalog.sum(d.scope_1) as scope_1, pg_catalog.sum(d.scope_2) as scope_2, pg_catalog.sum(d.scope_3_1) as scope_3_1,
          pg_catalog.sum(d.scope_3_3) as scope_3_3, pg_catalog.sum(d.scope_3_4) as scope_3_4,
          pg_catalog.sum(d.scope_3_9) as scope_3_9, pg_catalog.sum(d.unscoped) as unscoped
        from public.daily_emissions d, lateral (select greatest(case per when 'day' then d.day
          when 'month' then pg_catalog.date_trunc('month', d.day::timestamp)::date else emissions_report.since end,
          emissions_report.since) as since) c
        where d.day between emissions_report.since and emissions_report.until and d.entity = any (wanted)
        group by 1, 2, 3, 4, 5, 6, 7, 8
      ) s), '[]'));
end $$;
comment on function public.emissions_report(date, date, text, text, int) is
  'kg CO2e from one day to another (both included) by entity, kind of work, method, basis, country and quality, in total, by month or by day; so many entities at once, `next` is what the following call gives as `after`.';
revoke execute on function public.emissions_report(date, date, text, text, int) from public, anon;
grant execute on function public.emissions_report(date, date, text, text, int) to authenticated, service_role;
