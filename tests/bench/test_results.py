"""Medians, ratios and tables out of runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import docs, plan, table
from bench.contestants.all import CONTESTANTS
from bench.results import DELIVERY, FULL, Results, headline
from bench.spread import Run, Spread, ratio, spread

PACED = {"floor-send": (10.0, 8.0, 9.0), "relay": (11.0, 10.0, 9.0)}


def results() -> Results:
    found = Results({"taken_at": "2026-01-01T00:00:00Z", "quick": True})
    for name, values in PACED.items():
        for round, value in enumerate(values):
            figures = {"clients": 1000, "paced_us": value, "burst_us": value / 100}
            found.note("fanout", name, round, figures)
    found.note("decoding", "relay", 0, {"clients": 1, "us_per_row": 25.0})
    return found


def test_a_ratio_is_taken_within_each_round_before_the_median() -> None:
    runs = results().runs
    assert spread(runs, "relay", "paced_us") == Spread(10.0, 9.0, 11.0, 3)
    assert ratio(runs, "relay", "paced_us") == Spread(1.1, 1.0, 1.25, 3)
    assert spread(runs, "bun", "paced_us") is None


def test_the_share_of_decoding_is_what_a_row_costs_alone_by_what_it_costs_with_all() -> None:
    found = headline(results().runs)
    assert found["burst_us_per_delivery"].median == 0.10
    assert found["burst_decoding_share"].median == 25.0 / (0.10 * 1000)


def test_figures_have_the_same_names_where_the_relay_asked_for_tokens() -> None:
    runs = results().runs
    renamed: list[Run] = [
        {**run, "contestant": run["contestant"].replace("relay", "relay-ES256")} for run in runs
    ]
    assert headline(renamed) == headline(runs)
    assert headline([*runs, *renamed]) == headline(runs)


def test_results_are_written_and_read_again(tmp_path: Path) -> None:
    before = results()
    before.write(tmp_path / "folder" / "latest.json")
    content = before.as_json()
    assert content["paced_ratio_to_floor"] == 1.1
    assert Results.from_json(content).as_json() == content


def test_tables_name_everybody_with_the_relay_first() -> None:
    shown = table.text(results())
    assert shown.index("relay ") < shown.index("floor-send")
    assert "10.00 (9.00-11.00)" in shown
    assert "| relay | 10.00 (9.00-11.00) | 1.10 |" in table.markdown(results())


def test_attacks_idle_connections_and_tokens_have_their_tables_and_figures() -> None:
    found = results()
    found.note("tokens", "relay", 0, {"hs256_us": 40.0, "es256_us": 90.0, "rs256_us": 60.0})
    found.note("idle", "relay", 0, {"opened_kib": 2.25, "idle_kib": 2.5})
    found.note("idle", "relay-ES256", 0, {"opened_kib": 3.25, "idle_kib": 3.5})
    found.note("attack", "relay-ES256", 0, {"p99_ratio": 1.5, "lost": 0, "left_kib": 2048})
    shown = table.markdown(found)
    assert "| relay | 40 (40-40) | 90 (90-90) | 60 (60-60) |" in shown
    assert "| relay-ES256 | 3.25 (3.25-3.25) | 3.50 (3.50-3.50) |" in shown
    assert "| 1.50 (1.50-1.50) | 0 |" in shown
    assert shown.rindex("2.0 (2.0-2.0) |") > shown.index("in peace and while others attack")
    medians = {name: each.median for name, each in headline(found.runs).items()}
    assert (
        medians.items()
        >= {
            "token_check_us_hs256": 40.0,
            "token_check_us_es256": 90.0,
            "kib_per_idle_signed_in": 3.5,
            "attacked_p99_ratio": 1.5,
            "attacked_lost": 0,
        }.items()
    )


def test_contestants_alternate_and_each_round_has_all_of_them() -> None:
    steps = plan.steps(["fanout"], CONTESTANTS[:3], [1000], 3)
    rounds = [[s.contestant.name for s in steps if s.round == round] for round in range(3)]
    assert all(sorted(names) == sorted(rounds[0]) for names in rounds)
    assert len({names[0] for names in rounds}) == 3


def test_the_pages_have_the_figures_of_the_last_whole_run() -> None:
    if not FULL.exists():
        pytest.skip("the whole benchmark was not run")
    results = Results.from_json(json.loads(FULL.read_text()))
    delivery = json.loads(DELIVERY.read_text())["figures"] if DELIVERY.exists() else {}
    for page, shown in (
        (docs.FIGURES, docs.figures(results, delivery)),
        (docs.SIZES, docs.loads(results)),
    ):
        text = page.read_text()
        assert docs.filled(text, shown) == text
    assert docs.PICTURE.is_file()


def test_a_load_takes_its_deliveries_by_what_each_costs() -> None:
    found = results()
    found.note("fanout", "relay", 3, {"clients": 1000, "paced_us": 10.0, "paced_p99_ms": 12.4})
    found.note("idle", "relay-ES256", 0, {"clients": 10_000, "idle_kib": 4.096})
    shown = docs.loads(found)
    assert "| 1,000 | 10 | 10,000 | 10% |  | 4.0 |" in shown
    assert "| 1,000 | 50 | 50,000 | 50% | 12 | 4.0 |" in shown
    assert "5,000" not in shown  # nothing was measured


def test_figures_replace_those_of_before_and_leave_the_rest() -> None:
    text = f"before\n{docs.BEGIN}\nold\n{docs.END}\nafter\n"
    filled = docs.filled(text, "new")
    assert filled == text.replace("old", "new")
    with pytest.raises(docs.NoPlace):
        docs.filled("nothing", "new")


def test_the_page_names_what_was_not_measured() -> None:
    found = results()
    found.about["machine"] = {"cores": 2, "processor": "X", "kernel": "6", "python": "3.11"}
    found.skipped["bun"] = "npm is not installed"
    shown = docs.figures(found, {"takeover": {"clients": 10000, "seconds": 8.5}})
    assert "Not measured: bun (npm is not installed)." in shown
    assert "- takeover: clients 10,000, seconds 8.50" in shown
    assert "| 1,000 | 1.10 | - | 0.10 |" in shown
