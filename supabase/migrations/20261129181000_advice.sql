-- Advice: rules that are data, what the input is and usually is, and savings per event and per month.

create table public.advice_rules (
  id text primary key check (length(id) between 1 and 100),
  event_type text not null check (event_type in ('logistics', 'factory', 'warehouse', 'delivery')),
  driver text not null check (driver in ('distance', 'load', 'vehicle', 'fuel', 'energy', 'carbon')),
  series text check (series in ('event', 'period')),
  action text not null check (length(action) between 1 and 500),
  share double precision not null default 1 check (share > 0 and share <= 1),
  least_share double precision not null default 0.2 check (least_share between 0 and 1),
  least_ratio double precision not null default 1.02 check (least_ratio >= 1),
  least_month_kg double precision not null default 1 check (least_month_kg >= 0),
  source text not null default 'rules' check (length(source) between 1 and 100),
  enabled boolean not null default true,
  created_at timestamptz not null default now()
);
comment on table public.advice_rules is 'One row per action that is proposed when an input drives the excess of a hotspot. The worker reads them at each scan; add your own, with a source of your own.';
comment on column public.advice_rules.driver is 'The input: distance, load, vehicle (kg per km), fuel (per km), energy, carbon (kg per kWh).';
comment on column public.advice_rules.series is 'Only for hotspots of single events, or of periods; null: both.';
comment on column public.advice_rules.share is 'Part of what the usual value of the input would save that the action is good for. The shares of one input never count for more than 1 together, in the order of ids.';
comment on column public.advice_rules.least_share is 'Least part of the excess that the input has to explain.';
comment on column public.advice_rules.least_ratio is 'Least effect of the input on the kilograms against its usual value, 1.02 is 2 %.';
comment on column public.advice_rules.least_month_kg is 'Least saving in kg CO2e a month at the present rate.';
alter table public.advice_rules enable row level security;
revoke all on public.advice_rules from anon, authenticated, service_role;
grant select on public.advice_rules to authenticated;
grant select, insert, update, delete on public.advice_rules to service_role;
create policy "Signed-in users read the rules of advice" on public.advice_rules for select to authenticated using (true);

insert into public.advice_rules (id, event_type, driver, share, action) values
  ('delivery-distance-1', 'delivery', 'distance', 0.7, 'Re-plan the route and shift stops to neighbouring tours'),
  ('delivery-distance-2', 'delivery', 'distance', 0.3, 'Bundle parcels per address and offer pick-up points'),
  ('delivery-fuel-1', 'delivery', 'fuel', 1, 'Check the vehicles concerned and switch engines off at stops'),
  ('delivery-load-1', 'delivery', 'load', 1, 'Consolidate tours until vehicles leave as full as usual'),
  ('delivery-vehicle-1', 'delivery', 'vehicle', 1, 'Use the vehicle that usually runs these tours'),
  ('factory-carbon-1', 'factory', 'carbon', 1, 'Check why more of the energy came from fuels'),
  ('factory-energy-1', 'factory', 'energy', 0.6, 'Look for machines that idle, and for leaks of compressed air'),
  ('factory-energy-2', 'factory', 'energy', 0.4, 'Shut auxiliary systems down between orders'),
  ('logistics-distance-1', 'logistics', 'distance', 0.7, 'Compare the driven route with the planned one and re-plan it'),
  ('logistics-distance-2', 'logistics', 'distance', 0.3, 'Serve these orders from the nearest depot'),
  ('logistics-fuel-1', 'logistics', 'fuel', 0.6, 'Check tyres, engine and idling of the vehicles concerned'),
  ('logistics-fuel-2', 'logistics', 'fuel', 0.4, 'Train drivers in steady, anticipating driving'),
  ('logistics-load-1', 'logistics', 'load', 0.7, 'Consolidate consignments until vehicles leave as full as usual'),
  ('logistics-load-2', 'logistics', 'load', 0.3, 'Use a vehicle that is sized for the load'),
  ('logistics-vehicle-1', 'logistics', 'vehicle', 1, 'Use the vehicle class that usually runs this work'),
  ('warehouse-carbon-1', 'warehouse', 'carbon', 1, 'Check why more of the energy came from fuels'),
  ('warehouse-energy-1', 'warehouse', 'energy', 0.6, 'Check heating, ventilation, cooling and lighting schedules'),
  ('warehouse-energy-2', 'warehouse', 'energy', 0.4, 'Seal dock doors and improve insulation');

alter table public.recommendations
  add column rule text,
  add column driver text,
  add column actual double precision,
  add column usual double precision,
  add column unit text,
  add column co2_reduction_month double precision;
comment on column public.recommendations.co2_reduction is 'kg CO2e that it can save of the event, or period, that the hotspot shows.';
comment on column public.recommendations.rule is 'The row of advice_rules; null where another service proposed it.';
comment on column public.recommendations.driver is 'The input that it is about.';
comment on column public.recommendations.actual is 'Value of that input, in unit.';
comment on column public.recommendations.usual is 'What it usually is for this entity, in unit.';
comment on column public.recommendations.co2_reduction_month is 'kg CO2e that it can save in 30 days at the present rate; null where that is not known.';
create unique index recommendations_rule on public.recommendations (hotspot_id, source, rule) where rule is not null;
