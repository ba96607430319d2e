"""The emulator sends what the real server was recorded to send, as `manifest.json` says.

Each value that is compared is also changed once, which has to be found. `ALTER=5 pytest` plays
five changed recordings of each kind from beginning to end, otherwise that is done for a few.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from emulator.database import Database
from emulator.realtime import RealtimeSettings
from tests.emulator.realtime import recordings
from tests.emulator.realtime.altering import altered_recordings, altered_steps
from tests.emulator.realtime.comparing import Differs, exactly, in_shape
from tests.emulator.realtime.conftest import Server, serving
from tests.emulator.realtime.recordings import Recording, Step
from tests.emulator.realtime.replaying import Replay

ALTERED = int(os.environ.get("ALTER") or 0)


def strictly(step: Step, frame: str) -> None:
    """As recorded, and as nothing else that could have been recorded."""
    exactly(step, frame)
    for other in altered_steps(step):
        with pytest.raises(Differs):
            exactly(other, frame)


@pytest.mark.parametrize("name", recordings.listed("replayed"))
async def test_transcript_is_replayed(server: Server, name: str) -> None:
    await Replay(server, recordings.recording(name), strictly).run()


@pytest.mark.parametrize("name", recordings.listed("replayed", apart=True))
async def test_transcript_is_replayed_apart(recorded: Database, name: str) -> None:
    recording = recordings.recording(name)
    async with serving(recorded, settings(recording)) as server:
        await Replay(server, recording, strictly).run()


@pytest.mark.parametrize("name", recordings.listed("shape"))
async def test_transcript_has_this_shape(server: Server, name: str) -> None:
    await Replay(server, shortened(name), in_shape).run()


@pytest.mark.parametrize("name", recordings.listed("shape", apart=True))
async def test_transcript_has_this_shape_apart(recorded: Database, name: str) -> None:
    recording = shortened(name)
    async with serving(recorded, settings(recording)) as server:
        await Replay(server, recording, in_shape).run()


def test_the_manifest_lists_what_there_is_and_reasons_for_the_rest() -> None:
    entries = recordings.manifest()
    assert sorted(entries) == (recordings.DIRECTORY / "recorded.txt").read_text().split()
    files = {path.stem for path in recordings.DIRECTORY.glob("*.jsonl")}
    assert files == {*recordings.listed("replayed"), *recordings.listed("replayed", apart=True)} | {
        *recordings.listed("shape"),
        *recordings.listed("shape", apart=True),
    }
    assert {entry["treatment"] for entry in entries.values()} <= {*recordings.TREATMENTS}
    assert all(entry["treatment"] == "replayed" or entry["reason"] for entry in entries.values())


def some_altered() -> Iterator[tuple[str, int]]:
    names = recordings.listed("replayed")
    for name in names if ALTERED else names[::9]:
        yield from ((name, seed) for seed in range(max(ALTERED, 1)))


@pytest.mark.parametrize(("name", "seed"), [*some_altered()])
async def test_any_changed_value_of_a_transcript_is_found(
    server: Server, name: str, seed: int
) -> None:
    # What is written may not depend on what is expected, or the change would be followed.
    altered = [*altered_recordings(recordings.recording(name))]
    with pytest.raises(AssertionError):
        await Replay(server, random.Random(seed).choice(altered), exactly).run()


@pytest.mark.parametrize(
    ("name", "said", "instead"),
    [
        ("insert", '"score": 0.1', '"score": 0.2'),
        ("bad_filter_column", "invalid column", "unknown column"),
        ("connect_no_exp", "are required", "is required"),
        ("broadcast_from_database", '"schema": "public"', '"schema": "secret"'),
        ("heartbeat_v2", '"ok"', '"error"'),
    ],
)
async def test_a_changed_value_of_a_transcript_is_found(
    server: Server, name: str, said: str, instead: str
) -> None:
    with pytest.raises(Differs):
        await Replay(server, altered(recordings.recording(name), said, instead), exactly).run()


async def test_a_changed_type_of_a_transcript_is_found_in_its_shape(server: Server) -> None:
    changed = altered(recordings.recording("insert"), '"lat": 1.5', '"lat": null')
    with pytest.raises(Differs):
        await Replay(server, changed, in_shape).run()


async def test_a_frame_that_a_transcript_has_not_is_found(server: Server) -> None:
    recording = recordings.recording("insert")
    steps = tuple(step for step in recording.steps if step.data() is None)
    with pytest.raises(AssertionError):
        await Replay(server, replace(recording, steps=steps), exactly).run()


def altered(recording: Recording, said: str, instead: str) -> Recording:
    """The recording with another value in what the server sent."""
    steps = []
    for step in recording.steps:
        if step.direction in ("recv", "http_error"):
            text = json.dumps(step.content).replace(
                json.dumps(said)[1:-1], json.dumps(instead)[1:-1]
            )
            step = replace(step, content=json.loads(text))
        steps.append(step)
    assert steps != [*recording.steps]
    return replace(recording, steps=tuple(steps))


def shortened(name: str) -> Recording:
    recording = recordings.recording(name)
    return replace(recording, steps=recordings.shortened(recording.steps))


def settings(recording: Recording) -> RealtimeSettings:
    return replace(RealtimeSettings.prompt(), **recording.settings)
