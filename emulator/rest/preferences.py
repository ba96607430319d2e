"""The Prefer header."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

KNOWN = {
    "resolution": ("merge-duplicates", "ignore-duplicates"),
    "missing": ("default", "null"),
    "return": ("representation", "minimal", "headers-only"),
    "count": ("exact", "planned", "estimated"),
    "tx": ("commit", "rollback"),
    "handling": ("strict", "lenient"),
}


@dataclass(frozen=True)
class Preferences:
    """Preferences of the caller; None where not given."""

    resolution: str | None = None
    missing: str | None = None
    returning: str | None = None
    count: str | None = None
    tx: str | None = None
    handling: str | None = None
    max_affected: int | None = None
    unknown: tuple[str, ...] = ()

    @property
    def strict(self) -> bool:
        return self.handling == "strict"

    @property
    def counts(self) -> bool:
        """Whether rows are counted (a planned count is not)."""
        return self.count in {"exact", "estimated"}

    def applied(self, *, mutation: str | None, resolves: bool) -> str | None:
        """The Preference-Applied header, or None; `mutation` is the method of a write."""
        inserts = mutation == "POST"
        shown = [
            ("resolution", self.resolution if inserts and resolves else None),
            ("missing", self.missing if mutation in {"POST", "PATCH"} else None),
            ("return", self.returning if mutation else None),
            ("count", self.count),
            ("tx", self.tx),
            ("handling", self.handling),
            ("max-affected", self._max_affected_shown(mutation)),
        ]
        return ", ".join(f"{key}={value}" for key, value in shown if value is not None) or None

    def _max_affected_shown(self, mutation: str | None) -> str | None:
        if not self.strict or self.max_affected is None or mutation in {"POST", "PUT"}:
            return None
        return str(self.max_affected)


def parse(headers: Iterable[str]) -> Preferences:
    """The preferences in all Prefer headers; the first of several values counts."""
    found: dict[str, str] = {}
    unknown = []
    for preference in (p.strip() for header in headers for p in header.split(",")):
        key, _, value = preference.partition("=")
        if value in KNOWN.get(key, ()) or key == "max-affected":
            found.setdefault(key, value)
        elif preference:
            unknown.append(preference)
    return Preferences(
        resolution=found.get("resolution"),
        missing=found.get("missing"),
        returning=found.get("return"),
        count=found.get("count"),
        tx=found.get("tx"),
        handling=found.get("handling"),
        max_affected=_integer(found.get("max-affected", "")),
        unknown=tuple(unknown),
    )


def _integer(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
