-- Readable sample rows for a fresh local database: one open episode with its alert and recommendations, one resolved.
insert into public.hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2, percent_above, severity, status, created_at, resolved_at)
values
  ('Northwind_Freight', 'supplier', 'logistics', 93.6, 60.0, 56.0, 'critical', 'active', now() - interval '20 minutes', null),
  ('Alpine_Foundry', 'supplier', 'factory', 702.0, 585.0, 20.0, 'info', 'resolved', now() - interval '3 hours', now() - interval '2 hours');

insert into public.alerts (hotspot_id, kind, level, message, acknowledged, acknowledged_at, created_at)
select id, 'opened', severity, entity || ' is ' || percent_above || ' % above its baseline',
  status = 'resolved', case when status = 'resolved' then resolved_at end, created_at
from public.hotspots order by id;

insert into public.recommendations (hotspot_id, action, co2_reduction, root_cause, source)
select id, 'Consolidate half-empty runs of ' || entity, 11.5, 'Low load factor on long runs', 'rules'
from public.hotspots where entity = 'Northwind_Freight';
