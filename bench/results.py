"""The results of one invocation, as a file. Pure but for `write`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.spread import Run, Spread, chosen, ratio, spread

FOLDER = Path(__file__).parent / "results"
LATEST = FOLDER / "latest.json"
FULL = FOLDER / "full.json"
DELIVERY = FOLDER / "delivery.json"
HEADLINE_CLIENTS = 1000
RELAY, WITH_TOKENS = "relay", "relay-ES256"


@dataclass
class Results:
    """What was measured, by whom it could not be, and what went wrong."""

    about: dict[str, Any]
    runs: list[Run] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def note(self, scenario: str, contestant: str, round: int, figures: Mapping[str, Any]) -> None:
        """Add a run."""
        about = {"scenario": scenario, "contestant": contestant, "round": round}
        self.runs.append(about | dict(figures))

    def as_json(self) -> dict[str, Any]:
        """The medians that matter most first, then everything."""
        found = headline(self.runs)
        return {
            **self.about,
            **{name: round(each.median, 4) for name, each in found.items()},
            "spread": {name: each.as_json() for name, each in found.items()},
            "skipped": self.skipped,
            "failures": self.failures,
            "runs": self.runs,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Results:
        """What `as_json` made, again."""
        kept = ("taken_at", "commit", "machine", "versions", "seconds", "quick", "auth", "rounds")
        about = {name: content[name] for name in kept if name in content}
        return cls(about, content["runs"], content["skipped"], content["failures"])

    def write(self, path: Path) -> None:
        """Write the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), indent=1) + "\n")


def headline(runs: list[Run]) -> dict[str, Spread]:
    """The relay's figures with 1,000 clients; those of the one that asks for tokens, where no other
    was measured."""
    fanout = chosen(runs, "fanout", HEADLINE_CLIENTS)
    open_too = any(run["contestant"] == RELAY for run in fanout)
    relay = RELAY if open_too or not fanout else WITH_TOKENS
    check, attack = chosen(runs, "tokens"), chosen(runs, "attack")
    found = {
        "paced_ratio_to_floor": ratio(fanout, relay, "paced_us"),
        "paced_p99_ratio_to_floor": ratio(fanout, relay, "paced_p99_ms"),
        "burst_ratio_to_floor": ratio(fanout, relay, "burst_us"),
        "paced_us_per_delivery": spread(fanout, relay, "paced_us"),
        "burst_us_per_delivery": spread(fanout, relay, "burst_us"),
        "kib_per_idle_connection": spread(fanout, relay, "kib_per_idle_connection"),
        "connects_per_s": spread(fanout, relay, "connects_per_s"),
        "token_check_us_hs256": spread(check, RELAY, "hs256_us"),
        "token_check_us_es256": spread(check, RELAY, "es256_us"),
        "attacked_p99_ratio": spread(attack, WITH_TOKENS, "p99_ratio"),
        "attacked_lost": spread(attack, WITH_TOKENS, "lost"),
        "longest_hold_ms": spread(chosen(runs, "hold"), relay, "longest_ms"),
        "insert_extra_us": spread(chosen(runs, "insert"), RELAY, "single_extra_us"),
        "filters_paced_ratio": spread(chosen(runs, "filters"), RELAY, "paced_ratio"),
        "filters_kib": spread(chosen(runs, "filters"), RELAY, "filters_kib"),
        "kib_per_idle_signed_in": spread(chosen(runs, "idle"), WITH_TOKENS, "idle_kib"),
    }
    alone = spread(chosen(runs, "decoding"), relay, "us_per_row")
    burst = found["burst_us_per_delivery"]
    if alone is not None:
        found["decoding_us_per_row"] = alone
        if burst is not None:
            share = alone.median / (burst.median * HEADLINE_CLIENTS)
            found["burst_decoding_share"] = Spread(share, share, share, alone.runs)
    return {name: each for name, each in found.items() if each is not None}
