truncate public.plants, public.parts, public.canary, public.keyless,
  public."odd ""name"" %s" restart identity;
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
