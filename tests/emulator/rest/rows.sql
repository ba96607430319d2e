-- Deleting few rows takes a tenth of the time of a truncation.
delete from public.parts;
delete from public.labels;
delete from public.plantings;
delete from public.beds;
delete from public.gardens;
delete from public.plants;
delete from public.canary;
delete from public.keyless;
delete from public."odd ""name"" %s";
select setval('public.plants_id_seq', 1, false);
insert into public.canary default values;
insert into public.plants (name, owner, mood, big, exact, tags, doc, span, words, seen, level) values
  ('ash', null, 'calm', 9007199254740993, 0.1000000000000000000000001, '{a,"b,c"}',
   '{"k": [1, {"z": 5}], "n": 12345678901234567890, "s": "one"}', '[1,5)',
   to_tsvector('english', 'a fat cat'), '2026-01-02 03:04:05.678+02', 1),
  ('birch', null, 'busy', -1, 1e100, '{b}', '{"k": [], "s": "two"}', '[5,9)', null, null, 2),
  ('cedar', '11111111-1111-1111-1111-111111111111', 'calm', null, null, '{}', null, null, null,
   null, 3),
  ('100% *,()"\', null, 'busy', 0, 0, '{}', '[]', null, null, null, 4);
insert into public.parts values (1, 1, 'leaf'), (1, 2, null);
insert into public."odd ""name"" %s" values (1, 'x', 2);
insert into public.gardens values
  (1, 'north', 'Oslo', '{"soil": "clay"}', 9007199254740993.5), (2, 'south', null, '{"soil": "sand"}', 10),
  (3, 'empty', 'Rome', null, null);
insert into public.beds values
  (1, 'rose', 1, 2, null), (2, 'herb', 1, null, 1), (3, 'fern', 2, null, 1), (4, 'lost', null, 1, 3);
insert into public.plantings values (1, 1, 5), (1, 2, 3), (2, 1, 7), (3, 3, 1);
insert into public.labels values (1, 'Fraxinus'), (3, 'Cedrus');
