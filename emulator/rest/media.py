"""Content negotiation by the Accept header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from emulator.rest import errors

Form = Literal["json", "single", "csv"]


@dataclass(frozen=True)
class Format:
    """The form of an answer and its Content-Type."""

    form: Form
    content_type: str
    strips_nulls: bool = False


JSON = Format("json", "application/json; charset=utf-8")
STRIPPED = Format("json", "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8", True)
SINGLE = Format("single", "application/vnd.pgrst.object+json; charset=utf-8")
SINGLE_STRIPPED = Format(
    "single", "application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8", True
)
CSV = Format("csv", "text/csv; charset=utf-8")


def negotiate(accept: str | None) -> Format:
    """The first acceptable format, best quality first; raises ApiError PGRST107 when none is."""
    wanted = _by_quality(accept) if accept else ["*/*"]
    for media_type in wanted:
        found = _format(media_type)
        if found is not None:
            return found
    raise errors.unacceptable(wanted)


def _by_quality(accept: str) -> list[str]:
    entries = []
    for entry in accept.split(","):
        parts = [part.strip() for part in entry.split(";")]
        quality = next((_number(p[2:]) for p in parts[1:] if p.startswith("q=")), 1.0)
        kept = ";".join(part for part in parts if not part.startswith("q="))
        entries.append((quality, kept))
    return [media_type for _, media_type in sorted(entries, key=lambda e: -e[0])]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _format(media_type: str) -> Format | None:
    name, *parameters = (part.strip().lower() for part in media_type.split(";"))
    stripped = "nulls=stripped" in parameters
    if name in {"*/*", "application/json"}:
        return JSON
    if name in {"application/vnd.pgrst.array+json", "application/vnd.pgrst.array"}:
        return STRIPPED if stripped else JSON
    if name in {"application/vnd.pgrst.object+json", "application/vnd.pgrst.object"}:
        return SINGLE_STRIPPED if stripped else SINGLE
    return CSV if name == "text/csv" else None
