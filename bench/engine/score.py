"""Rates of one contestant on one labelled year."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence

from bench.engine.contestants import Answers
from bench.engine.years import DAYS, SPIKES, Job, Key

FOUND_WITHIN = 3  # events after the end of an anomaly
ANOMALIES = (*(f"x{factor:g}" for factor in SPIKES), "shift", "drift", "mended fault", "spell")
NO_FAULT_OF_THE_WORK = ("unit",)  # what no detector should call a hotspot, like normal events
KEYS_PER_SUPPLIER = 4

Rates = dict[str, float | None]


def rates(jobs: Sequence[Job], answers: Answers) -> Rates:
    """Give false hotspots per supplier-week, the % of normal events marked, recall and delay."""
    by_key: dict[Key, list[int]] = defaultdict(list)
    for index, job in enumerate(jobs):
        by_key[job.key].append(index)
    normal = marked = false = true = 0
    found: dict[str, list[bool]] = defaultdict(list)
    delays: dict[str, list[int]] = defaultdict(list)
    for indexes in by_key.values():
        last_abnormal = -100
        for place, index in enumerate(indexes):
            label = jobs[index].label
            harmless = not label or label in NO_FAULT_OF_THE_WORK
            if not harmless:
                last_abnormal = place
            if not label:
                normal += 1
                marked += answers.marked[index]
            if answers.opened[index]:
                is_false = harmless and place - last_abnormal > FOUND_WITHIN
                false += is_false
                true += label in ANOMALIES or not is_false
        for label, first, last in _anomalies(jobs, indexes):
            end = min(last + 1 + FOUND_WITHIN, len(indexes))
            hits = (
                place - first
                for place in range(first, end)
                if answers.opened[indexes[place]] or answers.is_open[indexes[place]]
            )
            delay = next(hits, None)
            found[label].append(delay is not None)
            if delay is not None:
                delays[label].append(delay)
    weeks = len(by_key) / KEYS_PER_SUPPLIER * DAYS / 7
    answer: Rates = {
        "false per supplier-week": false / weeks,
        "% of normal events hot": 100 * marked / normal,
        "precision": true / (true + false) if true + false else None,
        "recall": statistics.mean(hit for hits in found.values() for hit in hits),
        "us": answers.seconds / len(jobs) * 1e6,
    }
    for label in ANOMALIES:
        answer[label] = statistics.mean(found[label]) if found[label] else None
        answer[f"delay of {label}"] = statistics.median(delays[label]) if delays[label] else None
    return answer


def _anomalies(jobs: Sequence[Job], indexes: Sequence[int]) -> list[tuple[str, int, int]]:
    """Give label, first and last place of each anomaly of a key."""
    places: dict[tuple[str, int], list[int]] = {}
    for place, index in enumerate(indexes):
        job = jobs[index]
        if job.label in ANOMALIES:
            places.setdefault((job.label, job.anomaly), []).append(place)
    return [(label, where[0], where[-1]) for (label, _), where in places.items()]
