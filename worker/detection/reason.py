"""One sentence that a person understands: by how much, of what, compared with which usual value."""

from __future__ import annotations

import math
import re
from datetime import date

from worker.detection.observation import DAY, Driver, Rule, Standing, Verdict
from worker.detection.periods import Period
from worker.detection.series import Identity

UNITS = {
    "deliveries": "delivery",
    "throughput_t": "tonne",
    "pallets": "pallet",
    "m3_days": "m3 and day",
    "output": "unit of output",
    "none": "day",
}
WORTH_NAMING = 0.3  # share of the excess from which on an input is named
NAMES = {
    "distance": "distance",
    "load": "load",
    "vehicle": "kg per km",
    "fuel": "fuel per km",
    "energy": "energy",
    "carbon": "carbon per unit of energy",
}
# A smaller load means more kg per tonne-km: it is told as what it is, not by its effect.
INVERSE = {"load"}
TOGETHER = "one alone would not stand out"  # in the reason of a run, which is no worst of several
# How often it has happened, at the end of a reason; earlier versions said "2nd such in 4 days".
_COUNT = re.compile(r"(the worst of \d+ that stood out|\d+(st|nd|rd|th) such) in \d+ days?")


def sentence(
    identity: Identity, verdict: Verdict, standing: Standing, period: Period | None = None
) -> str:
    """Say why an episode is open, for the event or period that shows it best."""
    unit = unit_of(identity.basis)
    usual = f"{verdict.usual:.3g}"
    spread = f"usual spread ± {_percent(verdict.spread)}"
    if not verdict.hot and standing.rule is not Rule.SPIKE:
        above = _percent(math.expm1(standing.level))
        run = f"over {standing.events} {'periods' if period else 'events'}"
        parts = [
            f"{above} more kg per {unit} than this supplier's usual {usual}",
            f"{run}; {TOGETHER} ({spread}), together they do",
        ]
    else:
        more = _percent(verdict.ratio - 1)
        such = " for such a load" if identity.basis.startswith("t_km") and period is None else ""
        parts = [f"{more} more kg per {unit} than this supplier's usual {usual}{such}", spread]
    if named := _main(verdict.drivers):
        parts.append(f"mainly {named}")
    if period is not None:
        parts[0] = f"{days(period)}: {parts[0]}"
    if identity.absolute:
        parts.append("production is not known: more of it would look the same")
    return "; ".join(parts)


def counted(reason: str, standing: Standing, until: float) -> str:
    """Give a reason of the worst event or period, with how many stood out `until` now.

    `until` is in epoch seconds of the clock of `standing`. What happened once is not counted, nor
    is a run whose reason says over how many events it is taken.
    """
    why, _, last = reason.rpartition("; ")
    if _COUNT.fullmatch(last):
        reason = why
    if standing.times < 2 or TOGETHER in reason:
        return reason
    over = max(1, int(until // DAY) - int(standing.since // DAY) + 1)  # both days included
    span = f"{over} day{'s' if over > 1 else ''}"
    return f"{reason}; the worst of {standing.times} that stood out in {span}"


def unit_of(basis: str) -> str:
    """Give the unit of an activity basis for people: what follows a colon is the unit itself."""
    if basis.startswith(("t_km", "km_")):
        return "tonne-km" if basis.startswith("t_km") else "km"
    name, _, unit = basis.partition(":")
    return unit or UNITS.get(name) or name.replace("_", " ")


def days(period: Period) -> str:
    """Name the days of a period and its events."""
    since, until = _day(period.since), _day(period.until)
    named = since if period.since == period.until else f"{since} to {until}"
    return f"{named} ({period.events} event{'s' if period.events > 1 else ''})"


def _main(drivers: tuple[Driver, ...]) -> str:
    """Name the inputs that explain most, with how far each lies from its usual value."""
    total = sum(driver.kg for driver in drivers)
    if total <= 0:
        return ""
    return " and ".join(
        f"{NAMES.get(driver.name, driver.name)} {change(driver)}"
        for driver in drivers
        if driver.name != "other" and driver.kg >= WORTH_NAMING * total
    )


def change(driver: Driver) -> str:
    """Say how far the input lies from its usual value, as "+25 %"."""
    share = math.expm1(-driver.log_ratio if driver.name in INVERSE else driver.log_ratio)
    return f"{'+' if share >= 0 else '-'}{abs(share):.0%}".replace("%", " %")


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def _day(number: int) -> str:
    found = date.fromordinal(date(1970, 1, 1).toordinal() + number)
    return f"{found.day} {found:%B %Y}"
