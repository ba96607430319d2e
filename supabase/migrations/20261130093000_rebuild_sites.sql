-- Base load, heating and cooling of sites are learned from their past as well, by the next scan.
select public.request_rebuild(k.entity, k.entity_type, k.event_type, 'base load and weather of sites are learned')
from public.detector_keys k where k.event_type in ('factory', 'warehouse');
