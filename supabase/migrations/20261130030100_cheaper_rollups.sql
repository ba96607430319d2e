-- The period that a new row lies in is looked up by a join instead of a call for each row, among the few that count
-- (excess_of says which), and each figure is made a decimal once.
create index periods_that_count on public.periods (entity, entity_type, event_type, method, basis, country, until)
  where hotspot or basis = 'none';
create or replace function public.roll_up() returns trigger
language plpgsql security definer set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
  if tg_op = 'DELETE' then
    if coalesce(pg_catalog.current_setting('hotspots.pruning', true), '') = 'on' or not exists (select from old_rows) then
      return null;
    end if;
  elsif not exists (select from new_rows) then
    return null;
  else
    update public.predictions o set superseded_at = pg_catalog.clock_timestamp() from new_rows n
    where o.event_id = n.event_id and o.factor_set <> n.factor_set and o.superseded_at is null and n.superseded_at is null;
  end if;
  execute pg_catalog.format($statement$
    insert into public.rollups as r (entity, entity_type, event_type, day, method, basis, country, dq, events, hot, estimated, judged, kg,
      kg_ttw, kg_wtt, judged_kg, expected_kg, activity, activity_kg, scope_1, scope_2, scope_3_1, scope_3_3, scope_3_4, scope_3_9, excess_kg)
    select s.*, case
      when p.since <= s.day and p.expected_kg is not null and p.kg > 0
      then round(s.kg * (1 - p.expected_kg / p.kg), 3) else s.judged_kg - s.expected_kg end
    from (
      select entity, entity_type, event_type, day, method, basis, country, dq, sum(sign), coalesce(sum(sign) filter (where hotspot), 0),
        coalesce(sum(sign) filter (where estimated), 0), coalesce(sum(sign) filter (where expected_kg is not null), 0), sum(kg) as kg,
        coalesce(sum(kg_ttw), 0), coalesce(sum(kg_wtt), 0), coalesce(sum(kg) filter (where expected_kg is not null), 0) as judged_kg,
        coalesce(sum(expected_kg), 0) as expected_kg, coalesce(sum(activity), 0), coalesce(sum(kg) filter (where activity is not null), 0),
        coalesce(sum(scope_1), 0), coalesce(sum(scope_2), 0), coalesce(sum(scope_3_1), 0), coalesce(sum(scope_3_3), 0),
        coalesce(sum(scope_3_4), 0), coalesce(sum(scope_3_9), 0)
      from (
        select c.entity, c.entity_type, c.event_type, c.day, coalesce(c.method, 'unknown') as method,
          coalesce(c.activity_basis, 'none') as basis, coalesce(c.grid_country, '') as country, coalesce(c.dq, 0) as dq, c.sign, c.hotspot,
          c.estimated, c.sign * round(c.predicted_co2::numeric, 3) as kg, c.sign * round(c.kg_ttw::numeric, 3) as kg_ttw,
          c.sign * round(c.kg_wtt::numeric, 3) as kg_wtt, c.sign * round(c.expected_kg::numeric, 3) as expected_kg,
          c.sign * round(c.activity::numeric, 6) as activity,
          c.sign * round((c.scopes ->> '1')::numeric, 3) as scope_1, c.sign * round((c.scopes ->> '2')::numeric, 3) as scope_2,
          c.sign * round((c.scopes ->> '3.1')::numeric, 3) as scope_3_1, c.sign * round((c.scopes ->> '3.3')::numeric, 3) as scope_3_3,
          c.sign * round((c.scopes ->> '3.4')::numeric, 3) as scope_3_4, c.sign * round((c.scopes ->> '3.9')::numeric, 3) as scope_3_9
        from (%s) c where c.superseded_at is null and c.day is not null offset 0) changed
      group by 1, 2, 3, 4, 5, 6, 7, 8 order by 1, 2, 3, 4, 5, 6, 7, 8) s
    left join lateral (
      select p.since, p.hotspot, p.basis, p.expected_kg, p.kg from public.periods p
      where p.entity = s.entity and p.entity_type = s.entity_type and p.event_type = s.event_type
        and p.method = s.method and p.basis = s.basis and p.country = s.country and p.until >= s.day and (p.hotspot or p.basis = 'none')
      order by p.until limit 1) p on true
    on conflict on constraint rollups_pkey do update set
      events = r.events + excluded.events, hot = r.hot + excluded.hot, estimated = r.estimated + excluded.estimated,
      judged = r.judged + excluded.judged, kg = r.kg + excluded.kg, kg_ttw = r.kg_ttw + excluded.kg_ttw,
      kg_wtt = r.kg_wtt + excluded.kg_wtt, judged_kg = r.judged_kg + excluded.judged_kg,
      expected_kg = r.expected_kg + excluded.expected_kg, activity = r.activity + excluded.activity,
      activity_kg = r.activity_kg + excluded.activity_kg, scope_1 = r.scope_1 + excluded.scope_1,
      scope_2 = r.scope_2 + excluded.scope_2, scope_3_1 = r.scope_3_1 + excluded.scope_3_1,
      scope_3_3 = r.scope_3_3 + excluded.scope_3_3, scope_3_4 = r.scope_3_4 + excluded.scope_3_4,
      scope_3_9 = r.scope_3_9 + excluded.scope_3_9,
      excess_kg = public.excess_of(r.entity, r.entity_type, r.event_type, r.method, r.basis, r.country, r.day, r.kg + excluded.kg,
        r.judged_kg + excluded.judged_kg - r.expected_kg - excluded.expected_kg)
    $statement$, case tg_op
    when 'INSERT' then 'select 1 as sign, n.* from new_rows n'
    when 'DELETE' then 'select -1 as sign, o.* from old_rows o'
    else 'select 1 as sign, n.* from new_rows n union all select -1, o.* from old_rows o' end);
  if tg_op <> 'INSERT' then
    delete from public.rollups r where r.events = 0 and (r.entity, r.day) in (select o.entity, o.day from old_rows o);
  end if;
  return null;
end $$;
