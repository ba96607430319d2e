"""What the inputs explain of ln(kg / activity) of a site: base load, heating and cooling.

A site uses energy without any work, and more of it the colder or the hotter it is outdoors. In
logarithms neither is a straight line, as `Expectation` draws it. Where such a line is steep, or it
has been warmer than the base temperature, this takes its place:

    kg = k (b + (1 - b) work / usual work) (1 + h degrees below 18 + c degrees above 18)

which is an energy baseline (ISO 50006) with one base temperature for both.
"""

from __future__ import annotations

import math
from typing import Self

from worker.detection.expectation import (
    FORGETTING,
    WEEKDAY_PRIOR,
    Expectation,
    Explained,
)
from worker.detection.observation import Observation
from worker.detection.window import clip

SITE_SLOPES = 3
STEEP_SIZE, STEEP_WEATHER = 0.15, 0.4  # slopes, beyond which a line is bent
SURE = 4.0  # standard deviations
LEAST_BASE_LOAD = 0.1  # to begin with
VARIANCES = (0.04, 0.06, 0.06)  # of base load, heating and cooling to begin with
MOST_BASE_LOAD, NO_BASE_LOAD = 0.98, -1.0  # below 0: more work costs more than its share
LEAST_WORK, LEAST_WEATHER = 0.02, 0.1  # shares of the usual: a logarithm needs some
MOST_SIZE = 6.0  # logarithm against the usual work
CENTRED_UNTIL = 12  # events whose mean is usual: moved later, it would move the level

Three = tuple[float, float, float]


def is_bent(line: Expectation, seen: Observation) -> bool:
    """Say whether straight lines do not fit a site, as far as they have been learned.

    They know of degrees below the base temperature alone.
    """
    degrees = seen.covariate
    if degrees is not None and degrees < 0:
        return True
    by_size, by_weather = line.slopes
    if by_size < -STEEP_SIZE:
        return by_size + SURE * math.sqrt(line.covariance[0]) < -STEEP_SIZE
    if by_weather > STEEP_WEATHER:
        return by_weather - SURE * math.sqrt(line.covariance[2]) > STEEP_WEATHER
    return False


class SiteExpectation(Expectation):
    """Base load, heating and cooling, learned as `Expectation` learns its slopes.

    The covariate is degrees below 18, divided by 10, negative above. `slopes` are b, h and c of the
    formula; `centre` is ln of the usual work, the usual degrees and those of late, for the events
    that do not tell theirs.
    """

    __slots__ = ("_derivatives", "_log_work")

    def __init__(self) -> None:
        super().__init__()
        # Of the observation that was explained last, until it is learned.
        self._derivatives: Three = (0.0, 0.0, 0.0)
        self._log_work = 0.0

    @classmethod
    def of(cls, line: Expectation, seen: Observation, known: SiteExpectation | None = None) -> Self:
        """Take the place of straight lines: the same value and slope at usual work and weather.

        `seen` is the next observation, `known` an expectation of the same site whose slopes are
        better known. The variances begin anew.
        """
        bent = cls()
        middle, usual = line.centre or (math.log(seen.activity or 1.0), seen.covariate or 0.0)
        by_size, by_weather = line.slopes
        base = min(MOST_BASE_LOAD, max(LEAST_BASE_LOAD, -by_size))
        heating = by_weather / max(0.2, 1 - by_weather * usual)
        bent.slopes = [base, heating, 0.0] if known is None else list(known.slopes)
        first, second, third = VARIANCES
        bent.covariance = [first, 0.0, 0.0, second, 0.0, third]
        lately = usual if seen.covariate is None else seen.covariate
        bent.centre = [middle - math.log(seen.events), usual, lately]
        bent.covariate_variance = line.covariate_variance
        bent.weekdays = list(line.weekdays)
        bent.weekday_counts = list(line.weekday_counts)
        bent.vehicles = {name: list(learned) for name, learned in line.vehicles.items()}
        return bent

    def explain(self, observation: Observation, log_activity: float) -> Explained:
        """Say what the inputs of an observation explain."""
        covariate = observation.covariate
        if self.centre is None:
            raise RuntimeError("it takes the place of another expectation, which has a centre")
        middle, usual_degrees, lately = self.centre
        self._log_work = log_activity - math.log(observation.events)
        size = clip(self._log_work - middle, MOST_SIZE)
        degrees = lately if covariate is None else covariate
        base, heating, cooling = self.slopes
        amount = math.exp(size)
        work = max(LEAST_WORK, base + (1 - base) * amount)
        # Against the usual work and weather: what is learned of them does not move the level.
        cold, hot, weather = self._weather(degrees)
        usual_cold, usual_hot, usual_weather = self._weather(usual_degrees)
        a = (1 - amount) / work
        b = cold / weather - usual_cold / usual_weather
        c = hot / weather - usual_hot / usual_weather
        self._derivatives = a, b, c
        aa, ab, ac, bb, bc, cc = self.covariance
        variance = a * a * aa + b * b * bb + c * c * cc + 2 * (a * b * ab + a * c * ac + b * c * bc)
        if covariate is None:
            slope = heating if degrees > 0 else cooling
            variance += self.covariate_variance * slope**2
        day = observation.weekday
        count = self.weekday_counts[day]
        weekday = self.weekdays[day] * count / (count + WEEKDAY_PRIOR)
        by_inputs = weekday + math.log(work) + math.log(weather / usual_weather) - size
        return (
            observation.log_factor + by_inputs,
            by_inputs,
            size,
            degrees - lately,
            variance,
            day,
        )

    def _weather(self, degrees: float) -> tuple[float, float, float]:
        """Give degrees / 10 below and above the base temperature, and their factor on kg."""
        _, heating, cooling = self.slopes
        cold, hot = (degrees, 0.0) if degrees > 0 else (0.0, -degrees)
        return cold, hot, max(LEAST_WEATHER, 1 + heating * cold + cooling * hot)

    def learn_slopes(self, size: float, deviation: float, innovation: float, spread: float) -> None:
        """Take a clipped innovation of the observation that was explained last."""
        a, b, c = self._derivatives
        aa, ab, ac, bb, bc, cc = self.covariance
        gain_a = aa * a + ab * b + ac * c
        gain_b = ab * a + bb * b + bc * c
        gain_c = ac * a + bc * b + cc * c
        scale = spread * spread + a * gain_a + b * gain_b + c * gain_c
        share = innovation / scale
        base, heating, cooling = self.slopes
        base = min(MOST_BASE_LOAD, max(NO_BASE_LOAD, base + gain_a * share))
        self.slopes = [base, heating + gain_b * share, cooling + gain_c * share]
        self.covariance = [
            aa + FORGETTING - gain_a * gain_a / scale,
            ab - gain_a * gain_b / scale,
            ac - gain_a * gain_c / scale,
            bb + FORGETTING - gain_b * gain_b / scale,
            bc - gain_b * gain_c / scale,
            cc + FORGETTING - gain_c * gain_c / scale,
        ]

    def learn_centre(
        self, log_activity: float, covariate: float | None, deviation: float, before: int
    ) -> None:
        """Follow the weather; move usual work and weather after `before` learned events."""
        if self.centre is None:
            raise RuntimeError("it takes the place of another expectation, which has a centre")
        young = before < CENTRED_UNTIL
        if young:
            self.centre[0] += (self._log_work - self.centre[0]) / (before + 1)
        if covariate is None:
            return
        self.covariate_variance += 0.03 * (deviation**2 - self.covariate_variance)
        self.centre[2] += max(0.1, 1 / (before + 1)) * deviation
        if young:
            self.centre[1] += (covariate - self.centre[1]) / (before + 1)
