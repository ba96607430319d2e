"""Rollups are the sums of the predictions that count, whatever is done to predictions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, LiteralString

import pytest
from psycopg.types.json import Jsonb

from tests.supabase.servers import Connection, Database, one

# What rollups are to be, from the predictions themselves.
EXPECTED: LiteralString = """
    select entity, event_type, day, coalesce(method, 'unknown') as method,
      coalesce(activity_basis, 'none') as basis, coalesce(dq, 0) as dq, count(*) as events,
      count(*) filter (where hotspot) as hot, count(expected_kg) as judged,
      sum(round(predicted_co2::numeric, 3)) as kg,
      coalesce(sum(round(kg_ttw::numeric, 3)), 0) as kg_ttw,
      coalesce(sum(round(expected_kg::numeric, 3)), 0) as expected_kg,
      coalesce(sum(round(activity::numeric, 6)), 0) as activity,
      coalesce(sum(round((scopes ->> '3.4')::numeric, 3)), 0) as scope_3_4
    from predictions where superseded_at is null
    group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3, 4, 5, 6
"""
STORED: LiteralString = """
    select entity, event_type, day, method, basis, dq, events, hot, judged, kg, kg_ttw,
      expected_kg, activity, scope_3_4
    from rollups order by 1, 2, 3, 4, 5, 6
"""
# The excess is that of the events, but of a day that a period hotspot covers, and always where no
# activity is known, it is that of the period.
EXCESS: LiteralString = """
    select s.entity, s.day, s.method, s.basis, s.dq, case when p.kg is null then s.of_events
      else round(s.kg * (1 - p.expected_kg / p.kg), 3) end as excess_kg
    from (
      select entity, day, coalesce(method, 'unknown') as method,
        coalesce(activity_basis, 'none') as basis, coalesce(dq, 0) as dq,
        sum(round(predicted_co2::numeric, 3)) as kg,
        coalesce(sum(round(predicted_co2::numeric, 3) - round(expected_kg::numeric, 3)), 0)
          as of_events
      from predictions where superseded_at is null group by 1, 2, 3, 4, 5) s
    left join periods p on p.entity = s.entity and p.method = s.method and p.basis = s.basis
      and s.day between p.since and p.until and (p.hotspot or p.basis = 'none') and p.kg > 0
      and p.expected_kg is not null
    order by 1, 2, 3, 4, 5
"""
TOTALS: LiteralString = """
    select day, event_type, basis, sum(events) as events, sum(hot) as hot,
      sum(estimated) as estimated, sum(judged) as judged, sum(kg) as kg, sum(kg_ttw) as kg_ttw,
      sum(kg_wtt) as kg_wtt, sum(excess_kg) as excess_kg, sum(activity) as activity,
      sum(activity_kg) as activity_kg, sum(dq * kg) as quality_kg
    from rollups group by 1, 2, 3 order by 1, 2, 3
"""


@pytest.fixture
def owner(database: Database) -> Connection:
    return database.connect()


def predict(owner: Connection, events: int = 40, factor_set: str = "one", **more: Any) -> None:
    """Give every event a prediction whose kilograms follow from its number."""
    owner.execute(
        "insert into events_normalized (event_type, supplier_id, timestamp)"
        " select 'logistics', 'Haulier ' || n %% 3, '2026-03-01'::timestamptz + n * interval '5 h'"
        " from generate_series(1, %s) n where not exists (select from events_normalized)",
        (events,),
    )
    owner.execute(
        "insert into predictions (event_id, model_version, factor_set, entity, entity_type,"
        " event_type, predicted_co2, kg_ttw, kg_wtt, scopes, method, activity, activity_basis, dq,"
        " estimated, in_range, hotspot, expected_kg, spread)"
        " select id, 'm', %s, supplier_id, 'supplier', event_type, 10.001 * id, 8.001 * id, 2 * id,"
        " jsonb_build_object('3.4', 10.001 * id), 'modelled', id / 3.0, 't_km', 3, false, true,"
        " id %% 7 = 0, case when id > 12 then 9.9 * id end, 0.05 from events_normalized",
        (factor_set,),
    )


def agree(owner: Connection) -> int:
    """Assert that rollups are the sums; their number of rows."""
    stored = owner.execute(STORED).fetchall()
    assert stored == owner.execute(EXPECTED).fetchall()
    excess = "select entity, day, method, basis, dq, excess_kg from rollups order by 1, 2, 3, 4, 5"
    assert owner.execute(excess).fetchall() == owner.execute(EXCESS).fetchall()
    totals = owner.execute("select * from daily_totals order by day, event_type, basis").fetchall()
    assert totals == owner.execute(TOTALS).fetchall()
    return len(stored)


def test_new_predictions_are_added_to_their_days(owner: Connection) -> None:
    predict(owner)
    assert agree(owner) > 10
    assert one(owner, "select sum(events) from rollups") == 40


def test_a_prediction_of_another_factor_set_takes_the_place_of_the_former(
    owner: Connection,
) -> None:
    predict(owner)
    predict(owner, factor_set="two")
    assert one(owner, "select count(*) from predictions") == 80
    assert agree(owner) > 10
    assert one(owner, "select sum(events) from rollups") == 40


def columns(owner: Connection, factor_set: str, **figures: Any) -> dict[str, Any]:
    """What the worker sends of predictions of all events, a figure that is not given left out."""
    ids = [row["id"] for row in owner.execute("select id from events_normalized order by id")]
    kind = {
        "entity": "Haulier", "entity_type": "supplier", "event_type": "logistics",
        "factor_set": factor_set, "model_version": "m", "method": "modelled", "dq": 3,
        "activity_basis": "t_km", "factor_ids": [], "flags": [], "estimated": False,
        "in_range": True,
    }  # fmt: skip
    given = {"kind": 1, "day": 20513, "hotspot": False, "occurred_at": "2026-03-01"} | figures
    return {
        "kinds": [kind],
        "event_id": f"{{{','.join(map(str, ids))}}}",
        "scopes": [{"3.4": 0.5}] * len(ids),
        "inputs": [{}] * len(ids),
        **{name: f"{{{','.join([str(value)] * len(ids))}}}" for name, value in given.items()},
    }


def test_a_batch_of_events_that_have_predictions_takes_their_place(owner: Connection) -> None:
    """Of the first, of the same factor set again, and of another one."""
    predict(owner, 6)
    owner.execute("delete from predictions")
    for factor_set, kg in (("one", 1.5), ("one", 2.25), ("two", 3.125)):
        computed = columns(owner, factor_set, predicted_co2=kg, expected_kg=1.001)
        assert one(owner, "select write_computed(%s)", Jsonb(computed)) == 6
        assert agree(owner) == 1
        assert one(owner, "select kg from rollups") == 6 * Decimal(str(kg))
    assert one(owner, "select count(*) from predictions") == 12
    assert one(owner, "select count(*) from predictions where kg_ttw is null") == 12
    owner.execute("delete from predictions where factor_set = 'two'")
    owner.execute("update predictions set superseded_at = null, predicted_co2 = 7")
    assert agree(owner) == 1


@pytest.mark.parametrize("kg", [1e15 / 7, 1e200, float("inf"), float("nan")])
def test_figures_beyond_what_a_double_counts_in_thousandths_are_added_up_as_they_are(
    owner: Connection, kg: float
) -> None:
    predict(owner, 1)
    owner.execute("delete from predictions")
    owner.execute("select write_computed(%s)", [Jsonb(columns(owner, "one", predicted_co2=kg))])
    stored = one(owner, "select kg from rollups")
    assert (stored.is_nan() and kg != kg) or float(stored) == pytest.approx(kg, rel=1e-14)


def test_changed_and_deleted_predictions_are_taken_out_to_the_gram(owner: Connection) -> None:
    predict(owner)
    owner.execute("update predictions set expected_kg = 1.234, predicted_co2 = 0.001 + event_id")
    agree(owner)
    owner.execute("update predictions set method = 'primary', dq = 1 where event_id % 2 = 0")
    agree(owner)
    owner.execute("delete from predictions where event_id % 3 = 0")
    agree(owner)
    owner.execute("delete from predictions")
    assert agree(owner) == 0


def test_events_that_are_pruned_stay_in_rollups(owner: Connection) -> None:
    predict(owner)
    before = owner.execute(STORED).fetchall()
    owner.execute("update events_normalized set created_at = now() - interval '1 year'")
    owner.execute("delete from event_queue")
    assert one(owner, "select prune('30 days') ->> 'events'") == "40"
    assert one(owner, "select count(*) from predictions") == 0
    assert owner.execute(STORED).fetchall() == before


def test_a_deleted_event_that_is_not_pruned_is_taken_out(owner: Connection) -> None:
    predict(owner)
    owner.execute("delete from events_normalized where id <= 10")
    agree(owner)
    assert one(owner, "select sum(events) from rollups") == 30


def test_what_is_usual_and_what_is_above_it_add_up(owner: Connection) -> None:
    predict(owner)
    assert one(owner, "select bool_and(kg = usual_kg + excess_kg) from daily_emissions") is True
    judged = one(
        owner,
        "select sum(round(predicted_co2::numeric, 3) - round(expected_kg::numeric, 3))"
        " from predictions where expected_kg is not null",
    )
    assert one(owner, "select sum(excess_kg) from daily_emissions") == judged


def test_the_excess_of_a_period_hotspot_stands_for_that_of_its_days(owner: Connection) -> None:
    predict(owner)
    kg = one(
        owner,
        "select sum(kg) from rollups where entity = 'Haulier 1'"
        " and day between '2026-03-03' and '2026-03-04'",
    )
    owner.execute(
        "insert into periods (entity, entity_type, event_type, method, basis, country, since,"
        " until, events, kg, activity, expected_kg, hotspot) values ('Haulier 1', 'supplier',"
        " 'logistics', 'modelled', 't_km', '', '2026-03-03', '2026-03-04', 5, %s, 1, %s, true)",
        (kg, kg / 2),
    )
    found = one(
        owner,
        "select sum(excess_kg) from daily_emissions where entity = 'Haulier 1'"
        " and day between '2026-03-03' and '2026-03-04'",
    )
    assert abs(found - kg / 2) <= 2 * one(owner, "select 0.001")
    assert one(owner, "select bool_and(kg = usual_kg + excess_kg) from daily_emissions") is True


def judge_period(
    owner: Connection, since: str, until: str, basis: str = "t_km", **more: Any
) -> None:
    """Write a period of Haulier 1 as the worker does, again where it is judged anew."""
    row = {
        "entity": "Haulier 1",
        "entity_type": "supplier",
        "event_type": "logistics",
        "method": "modelled",
        "basis": basis,
        "country": "",
        "since": since,
        "until": until,
        "events": 5,
        "kg": 500.0,
        "expected_kg": 400.0,
        "hotspot": True,
    }
    owner.execute("select write_periods(%s)", (Jsonb([row | more]),))


def excess_of(owner: Connection, day: str) -> Any:
    return one(
        owner,
        "select sum(excess_kg) from daily_emissions where entity = 'Haulier 1' and day = %s",
        day,
    )


def test_a_day_has_the_excess_of_its_period_in_whatever_order_they_come(owner: Connection) -> None:
    judge_period(owner, "2026-03-03", "2026-03-05")
    predict(owner)
    agree(owner)
    first = excess_of(owner, "2026-03-04")
    judge_period(owner, "2026-03-03", "2026-03-05", kg=800.0)
    agree(owner)
    assert excess_of(owner, "2026-03-04") > first
    judge_period(owner, "2026-03-06", "2026-03-07", hotspot=False)
    judge_period(owner, "2026-03-03", "2026-03-05", hotspot=False)
    agree(owner)
    without = excess_of(owner, "2026-03-04")
    owner.execute("update periods set hotspot = true, since = until where until = '2026-03-05'")
    agree(owner)
    assert excess_of(owner, "2026-03-04") == without
    owner.execute("delete from periods where until = '2026-03-05'")
    agree(owner)


def test_an_event_of_a_judged_day_is_added_to_the_excess_of_its_period(owner: Connection) -> None:
    predict(owner)
    owner.execute(
        "update predictions set activity_basis = null, activity = null, expected_kg = null"
    )
    judge_period(owner, "2026-03-03", "2026-03-04", basis="none", hotspot=False)
    agree(owner)
    before = excess_of(owner, "2026-03-04")
    owner.execute("update predictions set predicted_co2 = 2 * predicted_co2")
    agree(owner)
    assert excess_of(owner, "2026-03-04") == 2 * before
    owner.execute("delete from predictions where event_id % 2 = 0")
    agree(owner)


def test_a_summary_of_all_is_the_sum_of_those_of_its_entities(owner: Connection) -> None:
    predict(owner, events=100)
    judge_period(owner, "2026-03-16", "2026-03-18")
    asked = "select emissions_summary(entity => %s) -> 'windows' -> 2"
    whole = one(owner, "select emissions_summary() -> 'windows' -> 2")
    parts = [one(owner, asked, f"Haulier {n}") for n in range(3)]
    for name in ("kg", "kg_ttw", "kg_wtt", "usual_kg", "excess_kg", "events", "judged", "hot"):
        assert exact(whole[name]) == sum(exact(part[name]) for part in parts), name
    trend = one(owner, "select emissions_trend() -> 'days'")
    assert sum(exact(day["excess_kg"]) for day in trend) == exact(whole["excess_kg"])
    assert {day["intensity"] is None for day in trend} == {True, False}


def exact(number: Any) -> Decimal:
    return Decimal(str(number))


def test_what_is_silenced_is_counted_by_itself_and_is_not_the_worst(owner: Connection) -> None:
    for entity, severity in (("A", "critical"), ("B", "warn"), ("C", "warn")):
        owner.execute(
            "insert into hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,"
            " percent_above, severity) values (%s, 'supplier', 'factory', 2, 1, 100, %s)",
            (entity, severity),
        )
    silence = "select silence(now() + interval '1 day', 'works', entity => %s, severity => %s)"
    owner.execute(silence, ("A", "critical"))
    owner.execute(silence, ("B", "info"))  # lets a warning through
    ended = "select end_silence((silence(now() + interval '1 day', 'x', entity => 'C')).id)"
    owner.execute(ended)
    summary = one(owner, "select emissions_summary()")
    assert (summary["open"]["total"], summary["open"]["silenced"]) == (3, 1)
    assert summary["worst"]["entity"] == "B"
