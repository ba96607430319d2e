"""Reads the recordings of the real server and makes frames of two servers comparable."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from emulator.identity import Keys

DIRECTORY = Path(__file__).parents[2] / "transcripts"
TREATMENTS = ("replayed", "shape", "excluded")
Treatment = Literal["replayed", "shape", "excluded"]
LONGEST_RUN = 5  # of frames of one shape, in recordings that are compared in shape

_TOKEN = re.compile(r"<jwt ([^>]*)>")
_TIME = r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)"'
TIMES = re.compile(_TIME)
_NOW = re.compile(r'("(?:created_at|commit_timestamp|at)": ?)' + _TIME)
_IDS = re.compile(r'"ids":\[[\d,]+\]|"id":\d+,"event"')
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_RANDOM = re.compile(r'("id": ?)"' + _UUID + '"')


@dataclass(frozen=True)
class Step:
    """One line of a recording."""

    direction: str
    content: dict[str, Any]

    @property
    def connection(self) -> str:
        return str(self.content.get("conn", ""))

    @property
    def at(self) -> float:
        return float(self.content.get("t", 0))

    @property
    def frame(self) -> str:
        """The text of a frame; of one that was shortened, its beginning and end."""
        return str(self.content.get("raw") or self.content["truncated_raw"])

    def data(self) -> dict[str, Any] | None:
        """The change or the row that the frame tells of, if it does."""
        if self.direction != "recv" or "raw" not in self.content:
            return None
        message = json.loads(self.frame)
        payload = message[4] if isinstance(message, list) else message["payload"]
        if "data" in payload:
            return dict(payload["data"])
        row = payload.get("payload")
        if isinstance(row, dict) and "operation" in row:
            return {**row, "type": row["operation"]}
        return None


@dataclass(frozen=True)
class Recording:
    """A recording and what the manifest says of it.

    `before`: what was there already. `sql`: statements for lines that only describe one, or none
    when `plan` has it. `plan`: statements that were not recorded, or are wanted at another time, by
    seconds since the start. `together`: from and to when statements are one transaction, so that no
    poll falls between them. `numbers`: the first id that a table gives. `cut`: statements are
    missing, so that rows are made as the frames show them, which only a comparison of shapes may
    do; `others`: also rows of a situation that was recorded at the same time. `loose`: frames of
    different kinds may come in another order, for that depends on delays. `tokens_at`: when the
    access token with that ref counts. `header`: the API key is in a header. `lifetimes`: shorter
    ones for tokens. `expired`: when all those have ended. `forged`: the pushed token has a
    foreign signature. `closes`: the server closes the connection. `schema`: it changes the
    schema. `settings`: other ones than `RealtimeSettings.prompt`. `terminates`: which of
    Realtime's connections to PostgreSQL a fault terminates. `lost`: what is written before
    it is back. `prelude`: lines that were not recorded.
    """

    name: str
    steps: tuple[Step, ...]
    before: str = ""
    sql: Mapping[str, str] = field(default_factory=dict)
    plan: Mapping[str, str] = field(default_factory=dict)
    together: Sequence[tuple[float, float]] = ()
    numbers: Mapping[str, int] = field(default_factory=dict)
    cut: bool = False
    others: bool = False
    loose: bool = False
    tokens_at: Mapping[str, float] = field(default_factory=dict)
    header: bool = False
    lifetimes: Mapping[str, str] = field(default_factory=dict)
    expired: float | None = None
    forged: bool = False
    closes: bool = False
    schema: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    terminates: str = ""
    lost: str = ""

    def statement(self, step: Step) -> str:
        return self.sql.get(step.content["sql"], step.content["sql"])


def manifest() -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = json.loads((DIRECTORY / "manifest.json").read_text())
    return content


def listed(treatment: Treatment, *, apart: bool = False) -> list[str]:
    """Names; `apart`: of those that need a server of their own."""
    entries = manifest().items()
    chosen = {name: entry for name, entry in entries if entry["treatment"] == treatment}
    return [n for n, entry in chosen.items() if bool({"schema", "settings"} & {*entry}) == apart]


def recording(name: str) -> Recording:
    entry = dict(manifest()[name])
    cut = entry.pop("treatment") != "replayed"
    entry.pop("reason", None)
    prelude = entry.pop("prelude", [])
    lines = map(json.loads, (DIRECTORY / f"{name}.jsonl").read_text().splitlines())
    steps = [Step(line["dir"], line) for line in [*prelude, *lines] if "dir" in line]
    for at, statement in entry.get("plan", {}).items():
        steps.append(Step("sql", {"t": float(at), "sql": statement}))
    steps.sort(key=lambda step: step.at)
    return Recording(name, tuple(steps), cut=cut, **entry)


def masked(frame: str) -> str:
    """The frame without what differs between two runs: times and ids that were made at random."""
    frame = _RANDOM.sub(r'\1"<uuid>"', _NOW.sub(r'\1"<time>"', frame))
    return _IDS.sub(lambda found: re.sub(r"\d+", "<id>", found[0]), frame)


def masked_spans(frame: str) -> list[tuple[int, int]]:
    """Where `masked` hides something."""
    return [found.span() for mask in (_NOW, _RANDOM, _IDS) for found in mask.finditer(frame)]


def shape(frame: str) -> object:
    """Keys and types of the frame; its topic, event and columns as they are."""
    return _shape(json.loads(frame))


def _shape(value: object, key: str = "") -> object:
    match value:
        case dict():
            return {name: _shape(entry, name) for name, entry in value.items()}
        case list() if key == "ids":
            return "ids"
        case list():
            return [_shape(entry, key) for entry in value]
        case str() if key in ("topic", "event", "status", "type", "table", "schema", "extension"):
            return value
        case bool() | None | str():
            return type(value).__name__
        case _:
            return "number"


def kind(frame: str) -> tuple[str, str]:
    """Topic and event."""
    message = json.loads(frame)
    if isinstance(message, list):
        return message[2], message[3]
    return message["topic"], message["event"]


def with_tokens(text: str, keys: Keys, lifetimes: Mapping[str, str] | None = None) -> str:
    """`text` with real tokens, signed with `keys`."""
    return _TOKEN.sub(lambda found: _token(found[1], keys, lifetimes or {}), text)


def _token(description: str, keys: Keys, lifetimes: Mapping[str, str]) -> str:
    words = dict(re.findall(r"(\w+)=(\S+)", description))
    claims: dict[str, Any] = {"iss": words["iss"]} if "iss" in words else {}
    if "no-exp" in description:
        claims["exp"] = None
    lifetime = words.get("lifetime", "3600s")
    seconds = int(lifetimes.get(lifetime, lifetime).rstrip("s"))
    role = words.get("role", "")
    return keys.mint(role, subject=words.get("sub"), seconds=seconds, algorithm="HS256", **claims)


def shortened(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Without the later ones of many changes that follow each other.

    Where connections are shown the same, they keep the same.
    """
    showing: dict[str, set[str]] = {}
    for step in steps:
        if (data := step.data()) is not None:
            showing.setdefault(step.connection, set()).add(json.dumps(data))
    common = set.intersection(*showing.values()) if showing else set()
    first, chosen, run = next(iter(showing), None), set[str](), 0
    for step in steps:
        data = step.data()
        if step.direction in ("send", "note", "fault"):
            run = 0
        elif data is not None and step.connection == first and json.dumps(data) in common:
            run += 1
            if run <= LONGEST_RUN:
                chosen.add(json.dumps(data))
    return tuple(s for s in steps if (data := s.data()) is None or json.dumps(data) in chosen)
