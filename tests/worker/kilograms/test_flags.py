"""Every flag has a meaning, in the code and in the docs."""

from __future__ import annotations

import re
from pathlib import Path

from worker.kilograms.flags import FLAGS
from worker.kilograms.plausible import UNUSUAL

PROJECT = Path(__file__).parents[3]
SOURCES = [
    (PROJECT / "worker/kilograms" / name).read_text()
    for name in ("calculate.py", "transport.py", "energy.py", "activity.py", "plausible.py")
]
RAISED = re.compile(
    r'(?:flag\(\s*|yield |assume\([^,()]+, [^,()]+, )"([a-z0-9_]+)"'
    r'|"(split_\w+)" if|else "(split_\w+)"|"(\w+_distance|one_day_assumed)"\)',
    re.DOTALL,
)


def test_every_flag_that_is_raised_is_explained_and_no_other() -> None:
    raised = {name for text in SOURCES for found in RAISED.findall(text) for name in found if name}
    assert raised == set(FLAGS)
    assert set(FLAGS) >= UNUSUAL


def test_the_documentation_has_every_flag_with_its_meaning() -> None:
    text = (PROJECT / "docs/factors.md").read_text()
    for name, meaning in FLAGS.items():
        assert f"| `{name}` | {meaning} |" in text
