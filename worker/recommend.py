"""Rules that propose what to do about an episode, by what drives its excess."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from worker.detection.observation import Driver
from worker.detection.reason import NAMES, change
from worker.episodes import Episode

SOURCE = "rules"
LEAST_SHARE = 0.2  # of the excess, below which an input is not worth an advice


@dataclass(frozen=True, slots=True)
class Recommendation:
    """An advice for people, and the kg CO2e of the shown event that it can save at most."""

    action: str
    co2_reduction: float
    root_cause: str
    source: str = SOURCE

    def row(self) -> dict[str, Any]:
        """Give the columns of `recommendations`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Rule:
    """An advice and the share of its cause's excess that it addresses."""

    action: str
    share: float


# Shares of one cause add up to less than 1: together they never promise more than the excess.
RULES: dict[tuple[str, str], tuple[Rule, ...]] = {
    ("logistics", "distance"): (
        Rule("Compare the driven route with the planned one and re-plan it", 0.6),
        Rule("Serve these orders from the nearest depot", 0.3),
    ),
    ("logistics", "load"): (
        Rule("Consolidate consignments until vehicles leave full", 0.6),
        Rule("Use a vehicle that is sized for the load", 0.3),
    ),
    ("logistics", "vehicle"): (Rule("Use the vehicle class that usually runs this work", 0.8),),
    ("logistics", "fuel"): (
        Rule("Check tyres, engine and idling of the vehicles concerned", 0.5),
        Rule("Train drivers in steady, anticipating driving", 0.3),
    ),
    ("delivery", "distance"): (
        Rule("Re-plan the route and shift stops to neighbouring tours", 0.5),
        Rule("Bundle parcels per address and offer pick-up points", 0.3),
    ),
    ("delivery", "load"): (Rule("Consolidate tours until vehicles leave full", 0.6),),
    ("delivery", "vehicle"): (Rule("Use cargo bikes or electric vans where tours allow it", 0.5),),
    ("delivery", "fuel"): (
        Rule("Check the vehicles concerned and switch engines off at stops", 0.5),
    ),
    ("factory", "energy"): (
        Rule("Look for machines that idle, and for leaks of compressed air", 0.4),
        Rule("Shut auxiliary systems down between orders", 0.25),
    ),
    ("factory", "carbon"): (Rule("Check why more of the energy came from fuels", 0.5),),
    ("warehouse", "energy"): (
        Rule("Check heating, ventilation, cooling and lighting schedules", 0.4),
        Rule("Seal dock doors and improve insulation", 0.25),
    ),
    ("warehouse", "carbon"): (Rule("Check why more of the energy came from fuels", 0.5),),
}
UNEXPLAINED = (Rule("Ask what was different about this work: its inputs do not tell", 0.5),)


def recommend(episode: Episode) -> list[Recommendation]:
    """Propose actions for an episode; kg CO2e, together at most the excess of what it shows."""
    excess = episode.predicted_co2 - episode.baseline_co2
    causes = [
        driver
        for driver in episode.drivers
        if driver.name != "other" and driver.kg >= LEAST_SHARE * excess
    ]
    positive = sum(driver.kg for driver in causes)
    proposals = [
        Recommendation(
            rule.action,
            _rounded_down(rule.share * excess * driver.kg / max(positive, excess)),
            _root_cause(driver),
        )
        for driver in causes
        for rule in RULES.get((episode.key.event_type, driver.name), ())
    ]
    return proposals or [
        Recommendation(
            rule.action, _rounded_down(rule.share * excess), "No single input explains it"
        )
        for rule in UNEXPLAINED
    ]


def _rounded_down(kilograms: float) -> float:
    # Down, so that rounding never promises more than the excess.
    return max(0.0, math.floor(kilograms * 100 + 1e-6) / 100)


def _root_cause(driver: Driver) -> str:
    name = NAMES.get(driver.name, driver.name).capitalize()
    return f"{name} {change(driver)} against its usual value: {driver.kg:,.1f} kg CO2e more"
