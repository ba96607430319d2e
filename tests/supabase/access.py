"""Who may do what, as the design says it: the tests compare the catalogue with this."""

from __future__ import annotations

from collections.abc import Iterable

from tests.supabase.servers import Connection

ROLES = ("anon", "authenticated", "service_role", "event_writer", "relay_reader")
RIGHTS = ("select", "insert", "update", "delete", "truncate", "references", "trigger")

Matrix = dict[str, dict[str, set[str]]]  # name -> role -> rights

_READ = {"select"}
_WRITE = {"select", "insert", "update", "delete"}
_RELAYED = {"authenticated": _READ, "relay_reader": _READ, "service_role": _WRITE}

TABLES: Matrix = {
    "events_normalized": {"event_writer": {"insert"}, "service_role": _WRITE},
    "event_queue": {"service_role": _WRITE},
    "predictions": {"authenticated": _READ, "service_role": _WRITE},  # but not inputs and factors
    "rollups": dict.fromkeys(("authenticated", "service_role"), _READ),  # a trigger alone writes it
    "daily_totals": dict.fromkeys(("authenticated", "service_role"), _READ),  # likewise
    "periods": {"authenticated": _READ, "service_role": _WRITE},
    "advice_rules": {"authenticated": _READ, "service_role": _WRITE},
    "daily_emissions": dict.fromkeys(("authenticated", "service_role"), _READ),
    "quarantine": {"authenticated": _READ, "service_role": _WRITE},  # but not what the file said
    "recomputes": {"service_role": _WRITE},
    "suppliers": {"service_role": _WRITE},
    "baselines": {"authenticated": _READ, "service_role": _READ},
    "detectors": {"authenticated": _READ, "service_role": _WRITE},  # but not the state
    "detector_keys": {"service_role": _WRITE},
    "detector_inputs": {"service_role": _WRITE},
    "notices": {"authenticated": _READ, "service_role": _WRITE},
    "rebuilds": {"service_role": _WRITE},
    "hotspots": _RELAYED,
    "alerts": _RELAYED,
    "recommendations": _RELAYED,
    "scans": {"authenticated": _READ, "service_role": _WRITE},
    "deletions": dict.fromkeys(
        ("authenticated", "relay_reader", "service_role"), _READ
    ),  # its trigger alone writes it
    "retention": dict.fromkeys(("authenticated", "relay_reader", "service_role"), _READ),
    "version_floors": {},  # triggers and prune() alone use it
    "leases": {"service_role": _WRITE},
    "batches": {"service_role": _WRITE},
    "worker_heartbeats": _RELAYED,
    "relay_heartbeats": {"relay_reader": _READ, "service_role": _WRITE},
    "silences": dict.fromkeys(("authenticated", "service_role"), _READ),  # likewise
    "audit_log": dict.fromkeys(
        ("authenticated", "service_role"), _READ
    ),  # functions alone write it
}

VIEWS = {"baselines", "daily_emissions"}  # with the rights of who asks

SEQUENCES: Matrix = {
    "events_normalized_id_seq": {},
    "scans_id_seq": {},
    "hotspots_id_seq": {"service_role": {"usage"}},  # commit_batch draws ids ahead
    "alerts_id_seq": {},
    "recomputes_id_seq": {},
    "recommendations_id_seq": {},
    "audit_log_id_seq": {},
    "silences_id_seq": {},
    "detector_inputs_id_seq": {},
    "notices_id_seq": {},
}

_SIGNED_IN = {"authenticated": {"execute"}, "service_role": {"execute"}}
_SERVICE = {"service_role": {"execute"}}
_RELAY = {"relay_reader": {"execute"}, "service_role": {"execute"}}
_CHANGES_SINCE = (
    "changes_since(pg_snapshot,text,pg_snapshot,bigint,integer,bigint,integer,integer[])"
)
_TELLS_ALERT = (
    "tells_alert(bigint,text,text,timestampwithtimezone,timestampwithtimezone,"
    "doubleprecision,jsonb)"
)

FUNCTIONS: Matrix = {
    "relay_epoch()": _SIGNED_IN | _RELAY,
    _CHANGES_SINCE: _SIGNED_IN | _RELAY,
    "decide_recommendation(bigint,text,text)": _SIGNED_IN,
    "acknowledge_alert(bigint,text)": _SIGNED_IN,
    "acknowledge_alerts(bigint[],text)": _SIGNED_IN,
    "resolve_hotspot(bigint,text)": _SIGNED_IN,
    "decide_hotspot(bigint,text,text)": _SIGNED_IN,
    "decide_hotspots(bigint[],text,text)": _SIGNED_IN,
    "silence(timestampwithtimezone,text,text,text,text,timestampwithtimezone)": _SIGNED_IN,
    "end_silence(bigint,text)": _SIGNED_IN,
    "is_silenced(text,text,text,timestampwithtimezone)": _SIGNED_IN,
    "reset_key(text,text,text,text)": _SIGNED_IN,
    "undo(text,bigint[])": _SIGNED_IN,
    "undo_one(text,bigint)": {},
    "unsay(bigint)": {},
    "restore_hotspot(hotspots,jsonb,boolean)": {},
    "check_ids(bigint[])": {},
    "check_notes(text)": {},
    "request_scan()": _SIGNED_IN,
    "emissions_summary(date,text,text)": _SIGNED_IN,
    "emissions_contributors(integer,date,text,text,integer)": _SIGNED_IN,
    "emissions_trend(integer,date,text,text)": _SIGNED_IN,
    "emissions_by_day(date,date,text,text)": _SIGNED_IN,
    "emissions_report(date,date,text,text,integer)": _SIGNED_IN,
    "observations_of(bigint,integer)": _SIGNED_IN,
    "hotspot_series(bigint,integer)": _SIGNED_IN,
    "hotspot_sparks(bigint[],integer)": _SIGNED_IN,
    "hotspot_history(bigint)": _SIGNED_IN,
    "monthly_excess_kg(hotspots)": _SIGNED_IN,
    "waiting()": _SIGNED_IN,
    "relay_heartbeat(uuid,bigint,text)": _RELAY,
    "relay_broadcast()": _RELAY,
    "relay_access()": _RELAY,
    "worker_heartbeat(uuid,doubleprecision,jsonb)": _SERVICE,
    "worker_status()": _SIGNED_IN | _RELAY,
    "restamp()": _SERVICE,
    "hold_lease(uuid,bigint)": _SERVICE,
    "start_scan(uuid,integer,text)": _SERVICE,
    "claim_events(uuid,bigint,integer,integer,integer)": _SERVICE,
    "batch_state(uuid)": _SERVICE,
    "commit_batch(jsonb)": _SERVICE,
    "keys_state(jsonb)": _SERVICE,
    "write_findings(jsonb)": _SERVICE,
    "write_predictions(jsonb)": _SERVICE,
    "write_periods(jsonb)": _SERVICE,
    "write_advice(jsonb,jsonb,jsonb)": _SERVICE,
    "forget_periods(jsonb)": _SERVICE,
    "store_expectations(uuid,bigint,integer,jsonb)": _SERVICE,
    "write_computed(jsonb)": _SERVICE,
    "commit_pass(uuid,bigint,uuid,jsonb)": _SERVICE,
    "next_rebuild(uuid,bigint,integer,boolean)": _SERVICE,
    "past_of_key(uuid,bigint,integer,jsonb,timestampwithtimezone,bigint,integer)": _SERVICE,
    "due_keys(uuid,bigint,integer,timestampwithtimezone,integer)": _SERVICE,
    "announce_open_episodes(uuid,bigint,timestampwithtimezone,doubleprecision)": _SERVICE,
    _TELLS_ALERT: _SERVICE,
    "write_alerts(jsonb,timestampwithtimezone,doubleprecision)": _SERVICE,
    "add_alerts(jsonb[])": _SERVICE,
    "monthly_reduction_kg(hotspots,doubleprecision,doubleprecision)": _SERVICE,
    "request_rebuild(text,text,text,text)": _SERVICE,
    "request_rebuilds(text[],text)": _SERVICE,
    "tell_detectors(text,text,text,text)": _SERVICE,
    "hear_of_ended_episodes()": {},
    "stamp_key()": {},
    "finish_scan(uuid,bigint,jsonb,text)": _SERVICE,
    "retry_dead_events()": _SERVICE,
    "decide_quarantine(bigint[],text)": _SERVICE,
    "learn_classes(text,jsonb,boolean)": _SERVICE,
    "request_recompute(text,text,jsonb,jsonb,boolean)": _SERVICE,
    "set_supplier(text,jsonb,jsonb,jsonb)": _SERVICE,
    "next_recompute(uuid,bigint,integer,jsonb,jsonb)": _SERVICE,
    "recompute_page(uuid,bigint,integer,bigint,integer)": _SERVICE,
    "commit_recompute(uuid,bigint,bigint,bigint,bigint,jsonb)": _SERVICE,
    "learned_of(text[],integer)": _SERVICE,
    "requeue_mended_events()": {},
    "prune(interval,interval)": _SERVICE,
    "record_decision(text,text,bigint,text,jsonb,bigint)": {},
    "enqueue_events()": {},
    "date_prediction()": {},
    "roll_up()": {},
    "roll_up_periods()": {},
    "total_days()": {},
    "excess_of(text,text,text,text,text,text,date,numeric,numeric)": {},
    "stamp()": {},
    "announce()": {},
    "bury()": {},
    "supersede_deletions()": {},
    "refuse_truncate()": {},
}

POLICIES = {
    ("events_normalized", "INSERT", "event_writer"),
    ("hotspots", "SELECT", "authenticated"),
    ("alerts", "SELECT", "authenticated"),
    ("recommendations", "SELECT", "authenticated"),
    ("scans", "SELECT", "authenticated"),
    ("deletions", "SELECT", "authenticated"),
    ("retention", "SELECT", "authenticated,relay_reader"),
    ("detectors", "SELECT", "authenticated"),
    ("notices", "SELECT", "authenticated"),
    ("silences", "SELECT", "authenticated"),
    ("predictions", "SELECT", "authenticated"),
    ("quarantine", "SELECT", "authenticated"),
    ("rollups", "SELECT", "authenticated"),
    ("daily_totals", "SELECT", "authenticated"),
    ("periods", "SELECT", "authenticated"),
    ("advice_rules", "SELECT", "authenticated"),
    ("audit_log", "SELECT", "authenticated"),
    ("hotspots", "SELECT", "relay_reader"),
    ("alerts", "SELECT", "relay_reader"),
    ("recommendations", "SELECT", "relay_reader"),
    ("deletions", "SELECT", "relay_reader"),
    ("relay_heartbeats", "SELECT", "relay_reader"),
    ("worker_heartbeats", "SELECT", "authenticated,relay_reader"),
}

PUBLISHED = {
    "hotspots",
    "alerts",
    "recommendations",
    "scans",
    "relay_heartbeats",
    "worker_heartbeats",
    "silences",
}


def actual_tables(connection: Connection) -> Matrix:
    """What the database allows on every table and view of `public`, columns included."""
    found = connection.execute(
        """
        select c.relname as name, r as role, p as right,
          has_table_privilege(r, c.oid, p)
          or (p in ('select', 'insert', 'update', 'references')
            and has_any_column_privilege(r, c.oid, p)) as granted
        from pg_class c, unnest(%s::text[]) r, unnest(%s::text[]) p
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
        """,
        (list(ROLES), list(RIGHTS)),
    ).fetchall()
    return _matrix((row["name"], row["role"], row["right"], row["granted"]) for row in found)


def actual_sequences(connection: Connection) -> Matrix:
    """What the database allows on every sequence of `public`."""
    found = connection.execute(
        """
        select c.relname as name, r as role, p as right,
          has_sequence_privilege(r, c.oid, p) as granted
        from pg_class c, unnest(%s::text[]) r, unnest(array['usage', 'select', 'update']) p
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'S'
        """,
        (list(ROLES),),
    ).fetchall()
    return _matrix((row["name"], row["role"], row["right"], row["granted"]) for row in found)


def actual_functions(connection: Connection) -> Matrix:
    """Who may execute every function of `public`."""
    found = connection.execute(
        """
        select replace(replace(f.oid::regprocedure::text, 'public.', ''), ' ', '') as name,
          r as role, has_function_privilege(r, f.oid, 'execute') as granted
        from pg_proc f, unnest(%s::text[]) r
        where f.pronamespace = 'public'::regnamespace
        """,
        (list(ROLES),),
    ).fetchall()
    return _matrix((row["name"], row["role"], "execute", row["granted"]) for row in found)


def _matrix(rights: Iterable[tuple[str, str, str, bool]]) -> Matrix:
    matrix: Matrix = {}
    for name, role, right, granted in rights:
        roles = matrix.setdefault(name, {})
        if granted:
            roles.setdefault(role, set()).add(right)
    return matrix
