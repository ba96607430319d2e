"""One user with a good token and the default limits, who tries to use the relay up."""

from __future__ import annotations

import pytest

from bench.attack.ways import OF_A_USER
from bench.scenarios import hostile
from bench.scenarios.attack import Course
from bench.scenarios.hostile import Trial

MOST_KIB = 100 * 1024

pytestmark = [pytest.mark.usefixtures("programs"), pytest.mark.timeout(180)]


@pytest.mark.parametrize("way", OF_A_USER)
async def test_one_user_makes_the_relay_grow_by_little_and_others_lose_nothing(way: str) -> None:
    course = Course(seconds=4.0, per_second=60, calm_seconds=0.1)
    trial = Trial(backlog=20_000, gather_seconds=3.0, course=course)
    figures = await hostile.measure(way, trial)
    assert figures["attacks_per_s"] > 5
    assert figures["lost"] == 0
    assert figures["growth_kib"] < MOST_KIB
