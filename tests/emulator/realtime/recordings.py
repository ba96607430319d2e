"""Reads the recordings of the real server and makes frames of two servers comparable."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.identity import Keys

DIRECTORY = Path(__file__).parents[2] / "transcripts"
_TOKEN = re.compile(r"<jwt ([^>]*)>")
_TIME = re.compile(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)"')
_NOW = re.compile(r'("(?:created_at|commit_timestamp)": ?)' + _TIME.pattern)
_IDS = re.compile(r'"ids":\[[\d,]+\]|"id":\d+,"event"')


@dataclass(frozen=True)
class Step:
    """One line of a recording."""

    direction: str
    content: dict[str, Any]


def steps(name: str) -> list[Step]:
    lines = (DIRECTORY / f"{name}.jsonl").read_text().splitlines()
    return [Step(line["dir"], line) for line in map(json.loads, lines)]


def masked(frame: str) -> str:
    """The frame without what differs between two runs: ids of bindings and times."""
    frame = _NOW.sub(r'\1"<time>"', frame)
    return _IDS.sub(lambda found: re.sub(r"\d+", "<id>", found[0]), frame)


def with_tokens(text: str, keys: Keys, pushed: Keys | None = None) -> str:
    """`text` with real tokens; `pushed` signs the last one in the place of `keys`."""
    return _TOKEN.sub(lambda found: _token(found[1], pushed or keys), text)


def _token(description: str, keys: Keys) -> str:
    words = dict(re.findall(r"(\w+)=(\S+)", description))
    claims: dict[str, Any] = {"iss": words["iss"]} if "iss" in words else {}
    if "no-exp" in description:
        claims["exp"] = None
    seconds = int(words.get("lifetime", "3600s").rstrip("s"))
    role = words.get("role", "")
    return keys.mint(role, subject=words.get("sub"), seconds=seconds, algorithm="HS256", **claims)


def first_id(name: str, table: str) -> int | None:
    """The id that the first inserted row got."""
    found = re.search(
        rf'"table\\":\\"{table}\\",\\"type\\":\\"INSERT\\",\\"record\\":{{\\"id\\": (\d+)',
        (DIRECTORY / f"{name}.jsonl").read_text(),
    )
    return int(found[1]) if found else None
