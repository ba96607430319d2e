"""Recordings with one value changed, each of which has to be noticed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from tests.emulator.realtime import recordings
from tests.emulator.realtime.recordings import Recording, Step

STRING = r'"(?:[^"\\]|\\.)*"'
TOKEN = re.compile(rf"(?P<key>{STRING}\s*:)|{STRING}|-?\d[\d.e+-]*|true|false|null")
OTHER = {"true": "false", "false": "true", "null": "0"}


def altered_frames(frame: str) -> Iterator[str]:
    """The frame with each value changed in turn, but for those that are masked."""
    hidden = recordings.masked_spans(frame)
    for found in TOKEN.finditer(frame):
        start, end = found.span()
        masked = any(first <= start and end <= last for first, last in hidden)
        if not masked and not found["key"]:
            yield frame[:start] + _other(found[0]) + frame[end:]


def _other(value: str) -> str:
    if value.startswith('"'):
        return value[:-1] + '~"'
    return OTHER.get(value, value + "7")


def altered_steps(step: Step) -> Iterator[Step]:
    """What the server did, with each value changed in turn."""
    content = step.content
    match step.direction:
        case "recv":
            name = "raw" if "raw" in content else "truncated_raw"
            for frame in altered_frames(content[name]):
                yield replace(step, content={**content, name: frame})
        case "http_error":
            yield replace(step, content={**content, "status": content["status"] + 1})
            yield replace(step, content={**content, "body": content["body"] + "~"})
            if kind := content["headers"].get("content-type"):
                headers = {**content["headers"], "content-type": kind + "~"}
                yield replace(step, content={**content, "headers": headers})


def altered_recordings(recording: Recording) -> Iterator[Recording]:
    """The recording with each value of the server's changed in turn."""
    for place, step in enumerate(recording.steps):
        steps = [*altered_steps(step)]
        if step.direction == "closed" and recording.closes:
            steps = [
                replace(step, content={**step.content, "code": 1001}),
                replace(step, content={**step.content, "reason": "~"}),
            ]
        for other in steps:
            changed = (*recording.steps[:place], other, *recording.steps[place + 1 :])
            yield replace(recording, steps=changed)
