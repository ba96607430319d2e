"""The life of an episode as a state machine: what the docs allow, and nothing else."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg.types.json import Jsonb

from tests.supabase import rows
from tests.supabase.calls import Refused, Worker, call
from tests.supabase.results import prediction
from tests.supabase.servers import Connection, Database, one
from worker.detection.observation import Observation, Rules
from worker.detection.series import Reading
from worker.episodes import Episode
from worker.events import Key
from worker.findings import Findings
from worker.rebuild import Fold, settled
from worker.watched import Moment

DOCS = Path(__file__).parents[2] / "docs" / "alarms.md"
ALICE = {"sub": "alice", "role": "authenticated"}
DECISIONS = ("acknowledged", "resolved", "ignored", "accepted", "rejected")
RULES = Rules(cooldown_seconds=0)
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
NOISE = (0.0, 0.01, -0.02, 0.02, -0.01, 0.005, -0.005)
_entities = itertools.count(1)


def table_of_docs() -> dict[str, dict[str, list[str]]]:
    """State -> what is said or found -> states that may follow, from the first table."""
    lines = DOCS.read_text().split("## The life of an episode")[1].splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in itertools.takewhile(
            lambda line: line.startswith("|"),
            itertools.dropwhile(lambda line: not line.startswith("|"), lines),
        )
    ]
    head, _, *states = cells
    return {
        row[0]: {name: cell.split(", ") for name, cell in zip(head[2:], row[2:], strict=True)}
        for row in states
    }


TABLE = table_of_docs()


def state_of(row: dict[str, Any]) -> str:
    """The name of a row's state in the table."""
    if row["status"] == "active":
        return "held" if row["held"] else "open"
    if row["status"] == "ignored":
        return "ignored"
    resolution = row["resolution"] or "resolved"
    return str(resolution).replace("_", " ")


class Life(RuleBasedStateMachine):
    """One key: events that the engine judges, and two people who decide."""

    worker: Worker
    people: dict[str, Connection]

    def __init__(self) -> None:
        super().__init__()
        self.key = Key(f"Life {next(_entities)}", "supplier", "factory")
        self.past: list[tuple[Moment, Reading]] = []
        self.states: dict[int, str] = {}
        self.undoable: dict[int, tuple[str, str]] = {}  # who decided last, and the state before
        self.work(1.0, 40)
        self.work(1.7, 2)

    # The engine, as a scan runs it

    @rule(ratio=st.sampled_from([1.0, 1.0, 1.2, 1.4, 1.7]), count=st.integers(1, 6))
    def work(self, ratio: float, count: int) -> None:
        self._fold_anew()
        before = self._rows()
        self._judge(ratio, count)
        self._follow(before, "by evidence")

    @rule(ratio=st.sampled_from([1.0, 1.4]))
    def work_before_the_past_is_folded_anew(self, ratio: float) -> None:
        """A scan that is under way looks for rebuilds only at its end."""
        before = self._rows()
        self._judge(ratio, 1)
        self._follow(before, "by evidence")

    def _judge(self, ratio: float, count: int) -> None:
        connection = self.worker.connection
        first = len(self.past)
        found = connection.execute(
            "insert into public.events_normalized (event_type, supplier_id, timestamp)"
            " select 'factory', %s, t from unnest(%s::timestamptz[]) t returning id",
            (self.key.entity, [self._time(first + n).isoformat() for n in range(count)]),
        )
        events = sorted(row["id"] for row in found)
        state = one(connection, "select public.keys_state(%s)", Jsonb([self.key._asdict()]))
        findings = Findings(state, RULES, wall=None)
        for number, event in enumerate(events, start=first):
            kg = round(100 * ratio * (1 + NOISE[number % len(NOISE)]), 3)
            at = self._time(number).timestamp()
            connection.execute(
                "insert into public.predictions select * from jsonb_populate_record("
                "null::public.predictions, %s)",
                (Jsonb(PREDICTED | prediction(event, kg, entity=self.key.entity)),),
            )
            seen = Observation(at, kg, 50.0)
            step = (Moment(event, at), Reading(event, "primary", "output:t", "", seen))
            self.past.append(step)
            findings.take(self.key, *step)
        self._commit(findings.rows())

    def _fold_anew(self) -> None:
        asked = self.worker.connection.execute(
            "select from public.rebuilds where entity = %s and state = 'queued'",
            (self.key.entity,),
        ).fetchone()
        if asked is None:
            return
        before = self._rows()
        key = self.key._asdict()
        state = one(self.worker.connection, "select public.keys_state(%s)", Jsonb([key]))
        said = self.worker.connection.execute(
            "select to_jsonb(i) as said from public.detector_inputs i where entity = %s"
            " order by id",
            (self.key.entity,),
        )
        fold = Fold(self.key, [row["said"] for row in said], RULES)
        for _ in fold.take(self.past):
            pass
        findings = Findings(state, RULES, wall=None)
        stored = next((Episode.from_row(row) for row in state["episodes"]), None)
        clock = self.past[-1][0].time
        findings.replace(self.key, fold.finished(), settled(fold.watched, stored, clock))
        found = findings.rows() | {"replayed": fold.replayed, "rebuilt": [key]}
        found["heard"] = [*found["heard"], *(word["id"] for word in state["inputs"])]
        self._commit(found)
        self._follow(before, "by evidence")

    def _commit(self, found: dict[str, Any]) -> None:
        arguments = (self.worker.holder, self.worker.token, str(uuid4()), Jsonb(found))
        call(self.worker.connection, "select public.commit_pass(%s, %s, %s, %s)", *arguments)

    @staticmethod
    def _time(number: int) -> datetime:
        return BEGIN + timedelta(hours=8 * number)

    # People

    @precondition(lambda self: self.states)
    @rule(
        who=st.sampled_from(["alice", "bob"]),
        decision=st.sampled_from(DECISIONS),
        back=st.sampled_from([0, 0, 0, 1, 2]),
    )
    def decide_on_one(self, who: str, decision: str, back: int) -> None:
        self._decide(who, decision, back)

    @rule(who=st.sampled_from(["alice", "bob"]), decision=st.sampled_from(DECISIONS))
    def decide(self, who: str, decision: str) -> None:
        self._decide(who, decision, 0)

    def _decide(self, who: str, decision: str, back: int) -> None:
        hotspot = sorted(self.states)[-1 - back % len(self.states)]
        before, held = self.states[hotspot], self._row(hotspot)
        (allowed,) = TABLE[before][decision]
        query: LiteralString = "select * from public.decide_hotspot(%s, %s)"
        if allowed == "refused":
            with pytest.raises(Refused) as refusal:
                call(self.people[who], query, hotspot, decision)
            assert refusal.value.code == "PT409"
            assert self._row(hotspot) == held
            return
        row = call(self.people[who], query, hotspot, decision)
        assert state_of(row) == allowed, (before, decision)
        if row != held:
            self.undoable[hotspot] = (who, before)
        self.states[hotspot] = allowed

    @precondition(lambda self: self.undoable)
    @rule(who=st.sampled_from(["alice", "bob"]))
    def undo(self, who: str) -> None:
        hotspot = max(self.undoable)
        said_by, former = self.undoable[hotspot]
        is_open = [n for n, state in self.states.items() if state in ("open", "held")]
        room = former not in ("open", "held") or not set(is_open) - {hotspot}
        answer = call(self.people[who], "select public.undo('hotspot', %s) as it", [hotspot])["it"]
        if answer["done"]:
            assert who == said_by
            assert room
            del self.undoable[hotspot]
            self.states[hotspot] = state_of(self._row(hotspot))
            if former in ("open", "held"):
                assert self.states[hotspot] == former
        else:
            assert who != said_by or not room

    @rule()
    def reset(self) -> None:
        before = self._rows()
        call(self.people["alice"], "select public.reset_key(%s, 'factory')", self.key.entity)
        for number, row in self._rows().items():
            expected = before[number]
            if state_of(expected) in ("open", "held"):
                assert state_of(row) == "superseded"
                self.undoable.pop(number, None)
            else:
                assert row == expected
            self.states[number] = state_of(row)

    # What always holds

    @invariant()
    def at_most_one_episode_is_open(self) -> None:
        assert sum(state in ("open", "held") for state in self.states.values()) <= 1

    @invariant()
    def nothing_is_told_twice(self) -> None:
        found = self.worker.connection.execute(
            "select a.hotspot_id, a.kind, a.level from public.alerts a"
            " join public.hotspots h on h.id = a.hotspot_id where h.entity = %s order by a.id",
            (self.key.entity,),
        )
        told: dict[int, list[tuple[str, str]]] = {}
        for row in found:
            told.setdefault(row["hotspot_id"], []).append((row["kind"], row["level"]))
        for alerts in told.values():
            kinds = [kind for kind, _ in alerts]
            assert kinds[0] in ("opened", "reopened")
            assert not {"opened", "reopened"} & set(kinds[1:])
            assert "resolved" not in kinds[:-1]
            order = ["info", "warn", "critical"]
            for (_, former), (kind, level) in itertools.pairwise(alerts):
                step = order.index(level) - order.index(former)
                if kind == "escalated":
                    assert step > 0
                if kind == "deescalated":
                    assert step < 0

    @invariant()
    def a_new_episode_names_the_one_that_it_follows(self) -> None:
        known = self._rows()
        for number, row in known.items():
            if row["previous_id"] is not None:
                assert row["previous_id"] in known
                assert row["previous_id"] < number

    def _rows(self) -> dict[int, dict[str, Any]]:
        found = self.worker.connection.execute(
            "select * from public.hotspots where entity = %s order by id", (self.key.entity,)
        )
        return {row["id"]: row for row in found}

    def _row(self, hotspot: int) -> dict[str, Any]:
        return self._rows()[hotspot]

    def _follow(self, before: dict[int, dict[str, Any]], what: str) -> None:
        for number, row in self._rows().items():
            now = state_of(row)
            if number in before:
                former = state_of(before[number])
                assert now == former or now in TABLE[former][what], (former, now)
                if now != former:
                    self.undoable.pop(number, None)
            self.states[number] = now


PREDICTED = {
    "created_at": BEGIN.isoformat(),
    "factor_set": "test",
    "factor_ids": [],
    "inputs": {},
    "flags": [],
}


def test_the_table_of_the_docs_is_whole() -> None:
    assert set(TABLE) == {
        "open", "held", "resolved", "recovered", "new normal", "superseded", "ignored",
    }  # fmt: skip
    for row in TABLE.values():
        assert set(row) == {*DECISIONS, "by evidence"}
        assert {state for cell in row.values() for state in cell} <= {*TABLE, "refused", "-"}


COLUMNS = {
    "open": ("active", None, False),
    "held": ("active", None, True),
    "resolved": ("resolved", None, False),
    "recovered": ("resolved", "recovered", False),
    "new normal": ("resolved", "new_normal", False),
    "superseded": ("resolved", "superseded", False),
    "ignored": ("ignored", None, False),
}


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("before", COLUMNS)
def test_every_decision_on_every_state_does_what_the_docs_say(
    shared: Database, worker: Worker, before: str, decision: str
) -> None:
    row = rows.insert(worker.connection, "hotspots")
    worker.connection.execute(
        "update public.hotspots set status = %s, resolution = %s, held = %s where id = %s",
        (*COLUMNS[before], row),
    )
    held = one(worker.connection, "select to_jsonb(h) from public.hotspots h where id = %s", row)
    person = shared.connect("authenticated", ALICE, user="authenticator")
    (allowed,) = TABLE[before][decision]
    query: LiteralString = "select * from public.decide_hotspot(%s, %s)"
    if allowed == "refused":
        with pytest.raises(Refused) as refusal:
            call(person, query, row, decision)
        assert refusal.value.code == "PT409"
    else:
        assert state_of(call(person, query, row, decision)) == allowed
        call(person, "select public.undo('hotspot', %s)", [row])
    now = one(worker.connection, "select to_jsonb(h) from public.hotspots h where id = %s", row)
    hidden = {"version", "tx", "changed_at"}
    assert {k: now[k] for k in now if k not in hidden} == {
        k: held[k] for k in held if k not in hidden
    }


def test_an_episode_goes_through_its_states_as_the_docs_say(
    shared: Database, worker: Worker
) -> None:
    class Here(Life):
        pass

    Here.worker = worker
    Here.people = {
        name: shared.connect(
            "authenticated", {"sub": name, "role": "authenticated"}, user="authenticator"
        )
        for name in ("alice", "bob")
    }
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=30,
            stateful_step_count=40,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
