"""Sample CSV files as the domain notes describe them, made of arithmetic series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

MIXED = (
    "supplier_id,timestamp,event_type,distance_km,load_kg,vehicle_type,fuel_type,speed,"
    "energy_kwh,furnace_usage,cooling_load,shift_hours,temperature,refrigeration_load,"
    "inventory_volume"
)
LOGISTICS = "supplier_id,timestamp,distance_km,load_kg,vehicle_type,fuel_type,speed,event_type"
EVERY = {"logistics": 30, "factory": 120, "warehouse": 180}  # minutes

Row = dict[str, Any]
Span = tuple[float, float]


def series(
    supplier: str, event_type: str, day: str, count: int, spans: Mapping[str, Span], **fixed: Any
) -> list[Row]:
    """So many events, each quantity rising in equal steps over its span."""
    begin = datetime.fromisoformat(day)
    return [
        {
            "supplier_id": supplier,
            "timestamp": begin + timedelta(minutes=EVERY[event_type] * number),
            "event_type": event_type,
            **{
                name: round(low + (high - low) * number / max(count - 1, 1), 2)
                for name, (low, high) in spans.items()
            },
            **fixed,
        }
        for number in range(count)
    ]


def trips(
    supplier: str, day: str, count: int, km: Span, kg: Span, kmh: Span, **fixed: Any
) -> list[Row]:
    spans = {"distance_km": km, "load_kg": kg, "speed": kmh}
    fixed = {"vehicle_type": "van", "fuel_type": "diesel"} | fixed
    return series(supplier, "logistics", day, count, spans, **fixed)


def shifts(supplier: str, day: str, count: int, kwh: Span, furnace: Span, cold: Span) -> list[Row]:
    spans = {"energy_kwh": kwh, "furnace_usage": furnace, "cooling_load": cold}
    return series(supplier, "factory", day, count, spans, shift_hours=8)


def stocks(
    supplier: str, day: str, count: int, celsius: Span, cold: Span, volume: Span
) -> list[Row]:
    spans = {"temperature": celsius, "refrigeration_load": cold, "inventory_volume": volume}
    return series(supplier, "warehouse", day, count, spans)


def baseline_file() -> list[Row]:
    """File 1: 10 + 8 + 6 quiet rows of one supplier."""
    name = "GreenTech_Industries"
    return [
        *trips(name, "2026-01-05", 10, (44, 48), (260, 310), (70, 78)),
        *shifts(name, "2026-01-05", 8, (180, 195), (35, 38), (55, 60)),
        *stocks(name, "2026-01-05", 6, (22, 19), (26, 28), (4100, 4300)),
    ]


def increased_file() -> list[Row]:
    """File 2: the same supplier far above, another one quiet."""
    name, other = "GreenTech_Industries", "EcoSupply"
    return [
        *trips(name, "2026-02-02", 12, (68, 95), (400, 510), (68, 57), vehicle_type="truck"),
        *shifts(name, "2026-02-02", 6, (260, 275), (52, 56), (82, 88)),
        *stocks(name, "2026-02-02", 5, (22, 26), (36, 42), (5100, 5420)),
        *trips(other, "2026-02-02", 5, (42, 46), (240, 280), (72, 74)),
        *shifts(other, "2026-02-02", 3, (175, 182), (34, 35), (52, 54)),
        *stocks(other, "2026-02-02", 2, (19, 20), (24, 26), (3800, 3950)),
    ]


def optimised_file() -> list[Row]:
    """File 3: everybody quiet again, and a third supplier."""
    name, other, third = "GreenTech_Industries", "EcoSupply", "SolarGoods"
    return [
        *trips(name, "2026-03-02", 8, (40, 50), (260, 300), (70, 76)),
        *shifts(name, "2026-03-02", 5, (185, 196), (35, 37), (55, 58)),
        *stocks(name, "2026-03-02", 4, (21, 18), (23, 28), (4000, 4200)),
        *trips(other, "2026-03-02", 5, (32, 40), (220, 250), (72, 74)),
        *shifts(other, "2026-03-02", 4, (165, 170), (33, 34), (50, 52)),
        *trips(third, "2026-03-02", 6, (28, 32), (180, 200), (70, 74)),
        *shifts(third, "2026-03-02", 5, (135, 140), (24, 25), (44, 46)),
    ]


def severity_file() -> list[Row]:
    """The logistics ladder: quiet, info, warn and critical trips, heavy ones, electric ones."""
    name = "Ladder_Freight"
    truck = {"vehicle_type": "truck_diesel"}
    return [
        *trips(name, "2026-01-10", 6, (98, 105), (395, 410), (70, 72), **truck),
        *trips(name, "2026-01-11", 4, (180, 190), (700, 720), (60, 62), **truck),
        *trips(name, "2026-01-12", 4, (250, 260), (900, 920), (55, 57), **truck),
        *trips(name, "2026-01-13", 4, (400, 480), (1200, 1350), (32, 40), **truck),
        *trips(name, "2026-01-14", 3, (300, 330), (1500, 1580), (50, 52), **truck),
        *trips(
            name, "2026-01-15", 4, (148, 155), (500, 510), (60, 62),
            vehicle_type="truck_ev", fuel_type="electric",
        ),
    ]  # fmt: skip


def text(rows: Sequence[Mapping[str, Any]], header: str) -> str:
    """The rows as CSV, the time without a zone, unused cells empty."""
    columns = header.split(",")
    lines = [header, *(",".join(_cell(row.get(name)) for name in columns) for row in rows)]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


DEFECTIVE = (
    "timestamp,supplier_id,event_type,distance_km,load_kg,speed,energy_kwh,furnace_usage,"
    "cooling_load,shift_hours,temperature,refrigeration_load,inventory_volume,product_id,quantity"
)


def defective_file() -> tuple[str, list[int]]:
    """Files 4 to 7: another order, times with Z, two columns more, and 22 warehouse rows of 16
    fields under 15 headers. Gives the text and the numbers of the bad lines.
    """
    lines = [DEFECTIVE]
    bad: list[int] = []
    for number in range(60):
        stamp = f"2026-04-01T{number // 3:02}:{number % 3 * 20:02}:00Z"
        if (number % 3 == 0 and len(bad) < 22) or number >= 58:
            lines.append(f"{stamp},ColdStore,warehouse,,,,290,,,8,-4,120,5000,,P{number},30")
            bad.append(len(lines))
        elif number % 3 == 1:
            lines.append(f"{stamp},MetalWorks,factory,,,,430,70,170,8,,,,P{number},30")
        else:
            lines.append(f"{stamp},RoadRunner,logistics,{100 + number},700,70,,,,,,,,P{number},30")
    return "\n".join(lines) + "\n", bad
