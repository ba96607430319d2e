-- The history of an episode tells everything that people said: silences that match it with their end, what advice was decided on, resets,
-- and what was taken back, of all kinds.

-- A reset is of a key: it is told with the episode that it ended.
grant select (before) on public.audit_log to authenticated;
alter policy "Signed-in users read decisions on what they may see" on public.audit_log using (
  case entity_type
    when 'hotspot' then exists (select from public.hotspots h where h.id = entity_id)
    when 'alert' then exists (select from public.alerts a where a.id = entity_id)
    when 'recommendation' then exists (select from public.recommendations r where r.id = entity_id)
    when 'silence' then exists (select from public.silences s where s.id = entity_id)
    when 'key' then exists (select from public.hotspots h where h.id = (before ->> 'hotspot')::bigint)
    else false end);
