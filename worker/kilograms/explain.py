"""How the kilograms of an event came about: inputs, factors, arithmetic to the gram."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any

from worker.events import Event, Implausible
from worker.kilograms.calculate import Prediction, calculate
from worker.kilograms.energy import Basis
from worker.kilograms.factors import DESNZ, EMBER
from worker.kilograms.flags import FLAGS
from worker.kilograms.plausible import as_written
from worker.kilograms.terms import Term
from worker.suppliers import Supplier

Row = Mapping[str, Any]

QUALITY = {
    1: "metered or evidenced",
    2: "primary data as declared",
    3: "modelled",
    4: "something was assumed",
    5: "a proxy, or a single source",
}
METHODS = {
    "primary": "measured fuel, energy or stated kilograms",
    "modelled": "distance, declared class and actual load",
    "default": "something was assumed",
}


@cache
def _table(name: str, key: str) -> dict[str, dict[str, str]]:
    text = (resources.files("worker.kilograms") / "data" / name).read_text("utf-8")
    return {row[key]: row for row in csv.DictReader(text.splitlines())}


def source_of(factor_id: str) -> dict[str, str]:
    """Give what is known of a factor's row: `what`, `value`, `source`, `year`, `licence`."""
    sources = _table("sources.csv", "factor_set")
    found: dict[str, str] = {"id": factor_id}
    plain = factor_id.removeprefix("-").removeprefix(f"{DESNZ}:")
    if factor_id.startswith("ember-"):
        row = _table("grid.csv", "source_id").get(factor_id)
        if row is not None:
            found["what"] = f"electricity of {row['country']}, {row['basis']}"
            found["value"] = f"{row['g_total']} g CO2e per kWh"
        source = sources[EMBER]
    elif f"{DESNZ}:" in factor_id:
        rows = [_table("desnz-2025.csv", "id")[name] for name in plain.split("/")]
        found["what"] = " / ".join(_described(row) for row in rows)
        found["value"] = " / ".join(f"{row['kg_co2e']} kg CO2e per {row['unit']}" for row in rows)
        source = sources[DESNZ]
    else:
        return found | {"source": "a file of FACTORS_FILE"}
    years = factor_id.split("-")[1] if factor_id.startswith("ember-") else source["years"]
    return found | {
        "source": f"{source['publisher']}: {source['title']}",
        "year": years,
        "licence": source["licence"],
    }


def _described(row: Mapping[str, str]) -> str:
    parts = (row["activity"], row["kind"], row["size"], row["detail"], row["variant"])
    return ", ".join(part for part in parts if part and part != row["unit"])


def as_of(stored: Row, now: Supplier) -> Supplier:
    """Give what was known of the supplier when the stored prediction was made."""
    inputs: Mapping[str, list[Any]] = stored["inputs"]

    def setting(name: str) -> Any:
        value, origin = inputs.get(name, (None, None))
        return value if origin == "setting" else None

    by_load = "class_from_load" in stored["flags"]
    cls = inputs["vehicle_class"][0] if by_load else setting("vehicle_class")
    origin = "loads" if by_load else "person"
    return Supplier(
        now.supplier_id,
        vehicle_class=cls,
        vehicle_class_origin=None if cls is None else origin,
        vehicle_capacity_kg=setting("payload_kg"),
        country=setting("country"),
        operated_by=setting("operated_by"),
    )


def explanation(
    row: Row, supplier: Supplier, stored: Row | None, held: Row | None, basis: Basis
) -> dict[str, Any]:
    """Give everything about one event's kilograms as plain JSON.

    `row` is of `events_normalized`, `stored` its newest prediction, `held` its quarantine. The
    arithmetic is that of the stored prediction where its factors are the ones at hand, else that
    of a computation now, and `differs` says so.
    """
    found: dict[str, Any] = {
        "event": {name: row[name] for name in ("id", "event_type", "supplier_id", "timestamp")},
        "quarantine": held
        and {name: held[name] for name in ("state", "kind", "reason", "column_name", "raw_value")},
        "stored": stored
        and {
            name: stored[name]
            for name in ("predicted_co2", "kg_ttw", "kg_wtt", "method", "factor_set", "created_at")
        },
    }
    same_set = stored is not None and stored["factors_sha256"] == basis.factors.sha256
    if stored is not None and same_set:
        supplier = as_of(stored, supplier)
        grid = stored["inputs"].get("country")
        country = grid[0] if grid and grid[1] == "setting" else None
        basis = Basis(basis.factors, country)
    try:
        # What has a prediction was plausible or was released.
        event = Event.from_row(dict(row) | {"released": stored is not None})
        prediction = calculate(event, supplier, basis)
    except Implausible as exc:
        return found | {"refused": str(exc)}
    if stored is not None and stored["predicted_co2"] != prediction.co2_kg:
        found["differs"] = (
            "the stored kilograms are of other factors or settings than the arithmetic below: "
            "`python -m worker recompute` brings them up to date"
        )
    return found | _of(prediction)


def _of(prediction: Prediction) -> dict[str, Any]:
    grid = prediction.grid
    work = prediction.activity
    return {
        "kg_total": prediction.co2_kg,
        "kg_ttw": prediction.kg_ttw,
        "kg_wtt": prediction.kg_wtt,
        "kg_model": prediction.kg_model,
        "kg_biogenic_outside_of_scopes": prediction.kg_biogenic,
        "scopes": prediction.scopes,
        "method": {"name": prediction.method, "means": METHODS.get(prediction.method, "")},
        "quality": {"dq": prediction.dq, "means": QUALITY[prediction.dq]},
        "factor_set": prediction.factor_set,
        "factors_sha256": prediction.factors_sha256,
        "grid": grid and {"country": grid.country, "year": grid.year, "basis": grid.basis},
        "vehicle_class": prediction.vehicle_class,
        "inputs": [
            {"name": name, "value": value, "origin": origin}
            for name, (value, origin) in prediction.inputs.items()
        ],
        "arithmetic": [_term(term) for term in prediction.terms],
        "factors": [source_of(name) for name in prediction.factor_ids],
        "activity": {
            "amount": work,
            "basis": prediction.activity_basis,
            "kg_per_unit": prediction.co2_kg / work if work else None,
        },
        "flags": [{"name": name, "means": FLAGS[name]} for name in prediction.flags],
    }


def _term(term: Term) -> dict[str, Any]:
    return {
        "what": term.label,
        "how": term.text,
        "quantity": _plain(term.quantity),
        "unit": term.unit,
        "kg_ttw_per_unit": _plain(term.ttw),
        "kg_wtt_per_unit": _plain(term.wtt),
        "kg_ttw": _plain(term.kg_ttw),
        "kg_wtt": _plain(term.kg_wtt),
        "factor_ids": list(term.ids),
    }


def _plain(number: Decimal) -> str:
    """Give all digits that count; a string, since JSON numbers would lose some."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Give the explanation as text for a terminal."""
    event = found["event"]
    what = f"{event['event_type']} of {event['supplier_id']}, {event['timestamp']}"
    yield f"event {event['id']}: {what}"
    if (held := found["quarantine"]) is not None:
        yield f"quarantine: {held['state']}, {held['reason']}"
    if "refused" in found:
        yield f"no kilograms: {found['refused']}"
        return
    if (stored := found["stored"]) is not None:
        made = f"{stored['method']}, {stored['factor_set']}"
        yield f"stored: {stored['predicted_co2']} kg CO2e, {made}"
    else:
        yield "stored: nothing; this is what would be"
    if "differs" in found:
        yield f"note: {found['differs']}"
    yield from ("", *_sums(found), "", "inputs:")
    for each in found["inputs"]:
        yield f"  {each['name']:<22}{_shown(each['value']):<18}{each['origin']}"
    yield from ("", "arithmetic:")
    for term in found["arithmetic"]:
        yield f"  {term['what']}"
        if term["how"]:
            yield f"    {term['how']}"
        for kind in ("ttw", "wtt"):
            yield (
                f"    {kind} {term['quantity']} {term['unit']} x {term[f'kg_{kind}_per_unit']} "
                f"= {term[f'kg_{kind}']} kg"
            )
    yield from ("", "factors:")
    for factor in found["factors"]:
        yield f"  {factor['id']}  {factor.get('value', '')}"
        known = [factor[name] for name in ("what", "source", "year", "licence") if name in factor]
        yield f"    {'; '.join(known)}"
    yield ""
    yield f"factor set {found['factor_set']}, sha256 {found['factors_sha256']}"
    for flag in found["flags"]:
        yield f"flag {flag['name']}: {flag['means']}"


def _sums(found: Mapping[str, Any]) -> Iterator[str]:
    total, ttw, wtt = found["kg_total"], found["kg_ttw"], found["kg_wtt"]
    if ttw is None:
        yield f"{total:.3f} kg CO2e well to wheel, as stated"
    else:
        yield (
            f"{total:.3f} kg CO2e well to wheel = {ttw:.3f} operation (TTW) + {wtt:.3f} supply of "
            "the energy (WTT)"
        )
    yield f"method {found['method']['name']}: {found['method']['means']}"
    yield f"data quality {found['quality']['dq']} of 5: {found['quality']['means']}"
    if found["kg_model"] is not None:
        yield f"beside it, by the model: {found['kg_model']:.3f} kg"
    if found["kg_biogenic_outside_of_scopes"] is not None:
        yield f"biogenic CO2, outside of scopes: {found['kg_biogenic_outside_of_scopes']:.3f} kg"
    scopes = ", ".join(f"{name}: {kg:.3f} kg" for name, kg in found["scopes"].items())
    yield f"scopes {scopes}"
    work = found["activity"]
    if work["amount"] is not None:
        yield (
            f"activity {as_written(work['amount'])} ({work['basis']}): "
            f"{work['kg_per_unit']:.6g} kg per unit"
        )


def _shown(value: Any) -> str:
    return as_written(value) if isinstance(value, float) else str(value)
