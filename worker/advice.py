"""What to do about an episode: rules that are data, and savings that are computed with the factors.

For each input that drives the excess, the event is computed again with that input at the supplier's
usual value, one input after the other, the largest first. So the savings of all inputs together are
those of the job at its usual values, and never more than the excess.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from worker.detection.observation import DAY, Driver
from worker.detection.observation import Rule as Shape
from worker.detection.reason import NAMES, change
from worker.episodes import Episode
from worker.events import Event, Implausible
from worker.kilograms.calculate import Prediction, calculate
from worker.kilograms.energy import Basis
from worker.kilograms.explain import as_of
from worker.kilograms.plausible import TRANSPORTS, kilometres
from worker.suppliers import Supplier

DAYS_OF_MONTH = 30
LEAST_DAYS = 7
# What is measured instead of modelled; without it distance, class and load decide.
MEASURED = ("fuel_litres", "fuel_kg", "energy_kwh", "co2e_kg")
UNMEASURED: dict[str, Any] = dict.fromkeys(MEASURED)
ENERGY = (*MEASURED, "natural_gas_kwh", "heat_kwh", "furnace_usage")
FITS = 0.15  # logarithm within which a vehicle class is the one that usually runs


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of `advice_rules`: an action for an input of a kind of work, and when to propose it.

    `share` is the part of the input's saving that the action is good for. The input has to explain
    `least_share` of the excess, lie off its usual value by `least_ratio` in effect, and save
    `least_month_kg` kg CO2e in 30 days at the rate so far.
    """

    id: str
    event_type: str
    driver: str
    action: str
    share: float = 1.0
    series: str | None = None
    least_share: float = 0.2
    least_ratio: float = 1.02
    least_month_kg: float = 1.0
    source: str = "rules"

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Rule:
        return cls(**{name: row[name] for name in cls.__slots__})


class Job(NamedTuple):
    """An event with its kilograms and what they were computed with."""

    event: Event
    prediction: Prediction
    basis: Basis


@dataclass(frozen=True, slots=True)
class Saving:
    """What one input costs: `kg` CO2e of the shown event or period that its usual value would save.

    `actual` and `usual` are in `unit`; None where the event is not at hand. `instead` names the
    vehicle class that usually runs.
    """

    driver: Driver
    kg: float
    actual: float | None = None
    usual: float | None = None
    unit: str | None = None
    instead: str | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """A row of `recommendations`; kg CO2e of the event or period, and of 30 days at its rate."""

    action: str
    co2_reduction: float
    root_cause: str
    source: str
    rule: str
    driver: str
    actual: float | None
    usual: float | None
    unit: str | None
    co2_reduction_month: float

    def row(self) -> dict[str, Any]:
        """Give the columns of `recommendations`."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Advisor:
    """The rules of now, and what kilograms are computed with."""

    rules: tuple[Rule, ...] = ()
    basis: Basis | None = None

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]], basis: Basis) -> Advisor:
        """Read rows of `advice_rules`."""
        return cls(tuple(Rule.from_row(row) for row in rows), basis)

    def advise(
        self,
        episode: Episode,
        computed: tuple[Event, Prediction] | None,
    ) -> list[Advice]:
        """Propose actions; `computed` is the event that has just been judged, with its kg."""
        job = None if computed is None or self.basis is None else Job(*computed, self.basis)
        return advise(episode, self.rules, job)


def monthly_excess(episode: Episode) -> float:
    """Give the kg CO2e above the usual in 30 days, at the rate of the episode so far.

    The excess so far is divided by the days from the opening to the newest hot event or period,
    both included. What lasts is watched for `LEAST_DAYS` before it is taken for thirty days; hot
    events or periods that are no run count as often as they have happened, once if once. The SQL
    function `monthly_excess_kg` and the page say the same.
    """
    lasts = episode.rule in (Shape.SHIFT, Shape.DRIFT)
    days = (episode.last_seen_at - episode.occurred_at) / DAY + 1
    least = LEAST_DAYS if lasts else DAYS_OF_MONTH
    return max(0.0, episode.excess_kg) * DAYS_OF_MONTH / max(least, days)


def advise(episode: Episode, rules: Sequence[Rule], job: Job | None) -> list[Advice]:
    """Propose actions for an episode, those of the most expensive input first.

    `job` is the event that the episode shows, where it is at hand.
    """
    excess = episode.predicted_co2 - episode.baseline_co2
    if not excess > 0:
        return []
    by_driver: dict[str, list[Rule]] = defaultdict(list)
    for rule in rules:
        if rule.event_type == episode.key.event_type and rule.series in (None, episode.series):
            by_driver[rule.driver].append(rule)
    monthly = monthly_excess(episode)
    return [
        advice
        for place, saving in enumerate(savings(episode, job))
        for advice in _proposed(
            by_driver[saving.driver.name], saving, _root_cause(saving, place == 0), excess, monthly
        )
    ]


def _proposed(
    rules: Sequence[Rule], saving: Saving, root_cause: str, excess: float, monthly: float
) -> Iterator[Advice]:
    """Propose what saves a part of `excess`, and the same part of the `monthly` one."""
    driver, left = saving.driver, 1.0
    for rule in rules:
        share = min(rule.share, left)
        kg = share * saving.kg
        month = kg / excess * monthly
        if (
            share <= 0
            or driver.kg < rule.least_share * excess
            or math.exp(driver.log_ratio) < rule.least_ratio
            or month < rule.least_month_kg
            or not _rounded_down(kg)
        ):
            continue
        left -= share
        yield Advice(
            rule.action,
            _rounded_down(kg),
            root_cause,
            rule.source,
            rule.id,
            driver.name,
            _rounded(saving.actual),
            _rounded(saving.usual),
            saving.unit,
            _rounded_down(month),
        )


def savings(episode: Episode, job: Job | None) -> list[Saving]:
    """Compute what each input costs that adds to the excess, the most expensive first.

    With the event of the episode at hand its kilograms are computed again; else, and for what no
    factor knows, kilograms are proportional to the input.
    """
    left = episode.predicted_co2 - episode.baseline_co2
    shows_job = job is not None and episode.series == "event" and episode.event_id == job.event.id
    what_if = _WhatIf(job) if job is not None and shows_job else None
    found, share = [], 1.0  # of the shown kg that is left after the inputs before
    for driver in episode.drivers:
        if driver.name == "other" or driver.kg <= 0 or driver.log_ratio <= 0:
            continue
        after = what_if.without(driver) if what_if is not None else None
        if after is None:
            after = _Step(math.exp(-driver.log_ratio))
        kg = max(0.0, min(left, episode.predicted_co2 * share * (1 - after.share)))
        left, share = left - kg, share * min(1.0, after.share)
        found.append(Saving(driver, kg, after.actual, after.usual, after.unit, after.instead))
    return found


class _Step(NamedTuple):
    """The share of the kg of before that is left with one more input at its usual value."""

    share: float
    actual: float | None = None
    usual: float | None = None
    unit: str | None = None
    instead: str | None = None


class _WhatIf:
    """One event, computed again and again with one more input at its usual value."""

    def __init__(self, job: Job) -> None:
        self._event, self._basis = job.event, job.basis
        row = {"inputs": job.prediction.inputs, "flags": job.prediction.flags}
        self._supplier = as_of(row, Supplier(job.event.supplier_id))
        grid = job.prediction.inputs.get("country")
        if grid is not None and grid[1] == "setting":
            self._basis = Basis(job.basis.factors, grid[0])

    def without(self, driver: Driver) -> _Step | None:
        """Bring one input to its usual value; None where the event does not tell."""
        log_ratio = driver.log_ratio
        match driver.name:
            case "distance":
                return self._distance(log_ratio)
            case "load":
                return self._load(log_ratio)
            case "vehicle":
                return self._vehicle(log_ratio)
            case "fuel" | "energy":
                return self._energy(log_ratio)
            case "carbon":
                return self._carbon(log_ratio)
            case _:
                return None

    def _distance(self, log_ratio: float) -> _Step | None:
        km = kilometres(self._event)
        if km is None:
            return None
        share = math.exp(-log_ratio)
        column = "route_length" if km is self._event.route_length else "distance_km"
        # As much fuel per kilometre as before.
        moved: dict[str, Any] = {column: km * share}
        after = _scaled(self._event.changed(**moved), MEASURED, share)
        return self._moved(after, 1.0, km, km * share, "km")

    def _load(self, log_ratio: float) -> _Step | None:
        load = self._event.load_kg
        if not load:
            return None
        usual = load * math.exp(log_ratio)
        # The same tonnes in fewer trips: each costs a little more.
        after = self._event.changed(load_kg=usual)
        return self._moved(after, load / usual, load, usual, "kg", modelled=True)

    def _vehicle(self, log_ratio: float) -> _Step | None:
        km, before = kilometres(self._event), self._kg(self._event, modelled=True)
        if km is None or before is None:
            return None
        found: list[tuple[float, str]] = []
        for cls, payload in self._basis.factors.truck_classes:
            after = self._kg(self._event.changed(vehicle_class=cls), modelled=True)
            if after and after < before and (self._event.load_kg or 0) <= payload:
                found.append((abs(math.log(after / before) + log_ratio), cls))
        if not found or min(found)[0] > FITS:
            return None
        cls = min(found)[1]
        changed = self._event.changed(vehicle_class=cls)
        after_kg = self._kg(changed, modelled=True) or before
        actual, usual = before / km, after_kg / km
        step = self._moved(changed, 1.0, actual, usual, "kg CO2e per km", modelled=True)
        return step and step._replace(instead=cls)

    def _energy(self, log_ratio: float) -> _Step | None:
        share = math.exp(-log_ratio)
        event = self._event
        after = _scaled(event, ENERGY, share)
        if event.event_type not in TRANSPORTS:
            kwh = _kwh(event)
            return self._moved(after, 1.0, kwh or None, kwh * share or None, "kWh")
        km, litres = kilometres(event), event.fuel_litres
        if not km or litres is None:
            return self._moved(after, 1.0, None, None, None)
        per = litres / km * 100
        return self._moved(after, 1.0, per, per * share, "litres per 100 km")

    def _carbon(self, log_ratio: float) -> _Step | None:
        kg, kwh = self._kg(self._event), _kwh(self._event)
        if kg is None or not kwh:
            return None
        share = math.exp(-log_ratio)
        return _Step(share, kg / kwh, kg / kwh * share, "kg CO2e per kWh")

    def _moved(
        self,
        after: Event,
        jobs: float,
        actual: float | None,
        usual: float | None,
        unit: str | None,
        *,
        modelled: bool = False,
    ) -> _Step | None:
        """Go on with the changed event, of which so many `jobs` do the work of one before."""
        before_kg = self._kg(self._event, modelled=modelled)
        after_kg = self._kg(after, modelled=modelled)
        if not before_kg or after_kg is None:
            return None
        self._event = after
        return _Step(after_kg / before_kg * jobs, actual, usual, unit)

    def _kg(self, event: Event, *, modelled: bool = False) -> float | None:
        """Give exact kg, of distance, class and load alone when `modelled`."""
        # What has a prediction was plausible, or was released.
        event = event.changed(released=True, **(UNMEASURED if modelled else {}))
        try:
            prediction = calculate(event, self._supplier, self._basis)
        except (Implausible, ArithmeticError):
            return None
        return prediction.co2_kg


def _scaled(event: Event, columns: Sequence[str], share: float) -> Event:
    given: dict[str, Any] = {name: event.quantity(name) for name in columns}
    return event.changed(**{n: amount * share for n, amount in given.items() if amount is not None})


def _kwh(event: Event) -> float:
    amounts = (event.energy_kwh, event.natural_gas_kwh, event.heat_kwh)
    return sum(amount for amount in amounts if amount is not None)


def _root_cause(saving: Saving, first: bool) -> str:
    """Say what the input's usual value would save: of later inputs, beside those before.

    It is no share of the excess, as the drivers are, but what the event would have come to.
    """
    driver = saving.driver
    name = NAMES.get(driver.name, driver.name).capitalize()
    text = f"{name} {change(driver)} against its usual value"
    if saving.actual is not None and saving.usual is not None:
        text += f": {_plain(saving.actual)} {saving.unit} instead of {_plain(saving.usual)}"
    if saving.instead is not None:
        text += f", as by a {saving.instead}"
    usual = "with the usual one" if first else "with the usual one too, a further"
    return f"{text}; {usual} {saving.kg:,.1f} kg CO2e less"


def _rounded_down(kilograms: float) -> float:
    # Down, so that rounding never promises more than the excess.
    return max(0.0, math.floor(kilograms * 100 + 1e-6) / 100)


def _rounded(amount: float | None) -> float | None:
    return None if amount is None else float(f"{amount:.6g}")


def _plain(value: float) -> str:
    """Give four digits that count, and no exponent where a person reads the number at a glance."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:,.4g}"
