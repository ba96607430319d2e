-- Plans of triggers are made once, when a young table has no statistics: looking each event's former predictions up by the index is the
-- only way whose cost does not grow with the table.
alter function public.roll_up() set enable_seqscan = off;
alter function public.roll_up() set enable_hashjoin = off;
alter function public.roll_up() set enable_mergejoin = off;
