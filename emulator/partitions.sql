-- Upkeep of realtime.messages: partitions from yesterday to three days ahead, and none older than three days.
-- Run by the superuser at each start and every hour.
do $$
declare
  day date;
  partition text;
begin
  for day in select generate_series(-1, 3) + (now() at time zone 'utc')::date loop
    partition := 'messages_' || to_char(day, 'YYYY_MM_DD');
    if to_regclass('realtime.' || partition) is null then
      execute format(
        'create table realtime.%I partition of realtime.messages for values from (%L) to (%L)',
        partition, day, day + 1
      );
      execute format('alter table realtime.%I owner to supabase_realtime_admin', partition);
    end if;
  end loop;
  for partition in
    select c.relname from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'realtime.messages'::regclass
      and c.relname < 'messages_' || to_char((now() at time zone 'utc')::date - 3, 'YYYY_MM_DD')
  loop
    execute format('drop table realtime.%I', partition);
  end loop;
end $$;
