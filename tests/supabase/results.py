"""What a worker sends to `commit_batch`, built in few words."""

from __future__ import annotations

from typing import Any

KEYS = (
    "events",
    "failed",
    "quarantined",
    "suppliers",
    "predictions",
    "detectors",
    "episodes",
    "alerts",
    "recommendations",
)

Result = dict[str, Any]


def result(events: list[int], **parts: list[Any]) -> Result:
    """A result that completes `events`; parts that are not given are empty."""
    empty: Result = {key: [] for key in KEYS}
    return empty | {"events": events} | parts


def failed(event: int, error: str = "no such fuel", *, dead: bool = False) -> Result:
    """An event that is set aside."""
    return {"event_id": event, "error": error, "dead": dead}


def quarantined(event: int, value: str = "6000", **changes: Any) -> Result:
    """An event that is implausible."""
    made = {
        "event_id": event,
        "kind": "range",
        "reason": f"distance_km {value} is beyond 5000",
        "column_name": "distance_km",
        "raw_value": value,
    }
    return made | changes


def supplier(name: str = "Foundry", **changes: Any) -> Result:
    """What the worker learned of a supplier's trucks."""
    made = {
        "supplier_id": name,
        "vehicle_class": None,
        "vehicle_class_origin": None,
        "loads": 1,
        "largest_load_kg": 900.0,
    }
    return made | changes


def prediction(event: int, co2: float = 120.0, **changes: Any) -> Result:
    """A prediction for one event."""
    made = {
        "event_id": event,
        "entity": "Foundry",
        "entity_type": "supplier",
        "event_type": "factory",
        "model_version": "factors-1",
        "predicted_co2": co2,
        "estimated": False,
        "in_range": True,
        "hotspot": False,
    }
    return made | changes


def detector(entity: str = "Foundry", learned: int = 3) -> Result:
    """A detector that is warming up."""
    return {
        "entity": entity,
        "entity_type": "supplier",
        "event_type": "factory",
        "series": "event",
        "method": "primary",
        "basis": "output:t",
        "country": "GBR",
        "learned": learned,
        "usual": 2.0,
        "spread": 0.15,
        "newest_at": "2026-01-05T09:00:00+00:00",
        "state": {"n": learned},
    }


def key(entity: str = "Foundry", due_at: str | None = None, late: int = 0) -> Result:
    """What the detectors of a key share."""
    return {
        "entity": entity,
        "entity_type": "supplier",
        "event_type": "factory",
        "newest_at": "2026-01-05T09:00:00+00:00",
        "due_at": due_at,
        "late": late,
        "state": {"gaps": []},
    }


def episode(ref: int, entity: str = "Foundry", **changes: Any) -> Result:
    """A new episode; `id` and `version` make it a known one."""
    made = {
        "ref": ref,
        "id": None,
        "version": None,
        "entity": entity,
        "entity_type": "supplier",
        "event_type": "factory",
        "predicted_co2": 150.0,
        "baseline_co2": 100.0,
        "percent_above": 50.0,
        "severity": "critical",
        "status": "active",
        "event_id": 1,
        "phase": "firing",
        "series": "event",
        "rule": "spike",
        "excess_kg": 50.0,
        "reason": "50 % more kg per t",
        "occurred_at": "2026-01-05T09:00:00+00:00",
        "last_seen_at": "2026-01-05T09:00:00+00:00",
        "drivers": [{"input": "energy", "log_ratio": 0.405, "kg": 50.0}],
        "announced": True,
        "resolution": None,
    }
    return made | changes


def alert(ref: int, kind: str = "opened", level: str = "critical") -> Result:
    """An alert of the episode with that ref."""
    return {"ref": ref, "kind": kind, "level": level, "message": f"{kind} {level}"}


def recommendation(ref: int, action: str = "Insulate the furnace") -> Result:
    """A recommendation for the episode with that ref."""
    return {
        "ref": ref,
        "action": action,
        "co2_reduction": 11.5,
        "root_cause": "It leaks",
        "source": "rules",
    }
