"""Log lines of the worker: an event and key=value fields, as text or JSON, none per attempt.

And what names that others have chosen are made into before a terminal gets them.
"""

from __future__ import annotations

import logging
import re
import time
import unicodedata
from collections.abc import Callable
from typing import Final

_TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_HARMFUL_CATEGORIES: Final = ("Cc", "Zl", "Zp", "Cs", "Cn")
_DIRECTION_CONTROLS: Final = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
_PLACEHOLDER: Final = re.compile(r"(?:\b(\w+)=)?%[-#0 +]*\d*(?:\.\d+)?([a-zA-Z%])")


def configure(format: str, level: str) -> None:
    """Write log lines to standard error.

    Args:
        format: `text`: time, level, logger, and an event with key=value fields. `json`: an object a
            line, which has the fields as members too.
        level: The lowest level that is written.
    """
    formatter = logging.Formatter(_TEXT)
    if format == "json":
        from pythonjsonlogger.json import JsonFormatter  # not at every start

        formatter = JsonFormatter(_TEXT, rename_fields={"asctime": "time", "levelname": "level"})
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    if format == "json":
        handler.addFilter(_with_fields)
    logging.basicConfig(level=level, handlers=[handler])


def _with_fields(record: logging.LogRecord) -> bool:
    # JsonFormatter writes all attributes that a record does not have by itself.
    if isinstance(record.args, tuple):
        names = [name for name, kind in _PLACEHOLDER.findall(str(record.msg)) if kind != "%"]
        for name, value in zip(names, record.args, strict=False):
            if name and not hasattr(record, name):
                setattr(record, name, value)
    return True


def printable(text: str) -> str:
    """Give the text without what would change the terminal around it.

    Names may carry controls, separators of lines and paragraphs, embeddings, overrides and isolates
    of the direction of text, surrogates, and code points that Unicode has not assigned. Spaces of
    all kinds and joiners belong to names and stay.
    """
    if text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _harms(letter) else letter for letter in text)


def _harms(letter: str) -> bool:
    if unicodedata.category(letter) in _HARMFUL_CATEGORIES:
        return True
    return unicodedata.bidirectional(letter) in _DIRECTION_CONTROLS


_AGE: Final = re.compile(r"\d+(?:\.\d+)?(?= s(?:econds?)?\b)")
FIRST_PAUSE_SECONDS: Final = 5.0
LONGEST_PAUSE_SECONDS: Final = 600.0


class FailureLog:
    """Decides which failures of what is tried for ever are logged.

    The first one is, and each with another cause than the last that was logged; but after a line
    there is none for 5 s, and for twice as long after each, up to 10 min, until it works again. How
    many seconds ago something was makes no other cause.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._logged: str | None = None
        self._pause = FIRST_PAUSE_SECONDS
        self._quiet_until = 0.0

    def failed(self, cause: str) -> bool:
        """Note a failure; return whether it is to be logged."""
        now, cause = self._now(), _AGE.sub("", cause)
        if self._logged is None:
            self._pause = FIRST_PAUSE_SECONDS
        elif cause == self._logged or now < self._quiet_until:
            return False
        self._logged, self._quiet_until = cause, now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        return True

    def worked(self) -> bool:
        """Note a success; return whether a failure was logged before it."""
        failed, self._logged = self._logged is not None, None
        return failed
