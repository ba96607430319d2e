"""Compares frames with those of a recording."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.emulator.realtime import recordings
from tests.emulator.realtime.recordings import Step

MAX_DECIMALS = 6  # of a time, which has as many as it needs


class Differs(AssertionError):
    """The emulator did something else than the real server."""


Compare = Callable[[Step, str], None]


def exactly(step: Step, frame: str) -> None:
    """Byte for byte, but for made up ids and times. Raises Differs."""
    expected, found = recordings.masked(step.frame), recordings.masked(frame)
    if "raw" in step.content:
        same = found == expected
    else:  # the middle of a long frame was left out
        head, _, tail = expected.partition(" ... ")
        same = found.startswith(head) and found.endswith(tail)
        spare = MAX_DECIMALS * len(recordings.TIMES.findall(frame))
        same &= abs(len(frame) - step.content["len"]) <= spare
    if not same:
        raise Differs(f"at {step.at}:\nexpected {expected[:2000]}\nfound    {found[:2000]}")


def in_shape(step: Step, frame: str) -> None:
    """Keys and types only. Raises Differs."""
    if "raw" not in step.content:
        head = re.match(r'.{,60}?"event":"(\w+)"', step.frame)
        if head is None or f'"event":"{head[1]}"' not in frame[:80]:
            raise Differs(f"at {step.at}: expected {step.frame[:200]}, found {frame[:200]}")
        return
    expected, found = recordings.shape(step.frame), recordings.shape(frame)
    if expected != found:
        raise Differs(f"at {step.at}:\nexpected {expected}\nfound    {found}")
