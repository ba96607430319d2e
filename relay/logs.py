"""Log format, and filters for the loggers of libraries: no secrets, no line per failed attempt."""

import logging
import re
import time
from collections.abc import Callable
from typing import Final

_QUERY: Final = re.compile(r"\?\S*")
# Both write addresses as they were asked for, and a token may be in them.
_TELL_ADDRESSES: Final = ("uvicorn.access", "uvicorn.error")
# What uvicorn 0.54 says, as an error, of each handshake that was refused by an HTTP answer.
_AFTER_REFUSAL: Final = "ASGI callable returned without completing handshake."

_TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_PLACEHOLDER: Final = re.compile(r"(?:\b(\w+)=)?%[-#0 +]*\d*(?:\.\d+)?([a-zA-Z%])")


def configure(format: str) -> None:
    """Write log lines to standard error.

    Args:
        format: `text`: time, level, logger, and an event with key=value fields. `json`: an object a
            line, which has the fields as members too.
    """
    formatter = logging.Formatter(_TEXT)
    if format == "json":
        from pythonjsonlogger.json import JsonFormatter  # not at every start

        formatter = JsonFormatter(_TEXT, rename_fields={"asctime": "time", "levelname": "level"})
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    if format == "json":
        handler.addFilter(_with_fields)
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _with_fields(record: logging.LogRecord) -> bool:
    # JsonFormatter writes all attributes that a record does not have by itself.
    if isinstance(record.args, tuple):
        names = [name for name, kind in _PLACEHOLDER.findall(str(record.msg)) if kind != "%"]
        for name, value in zip(names, record.args, strict=False):
            if name and not hasattr(record, name):
                setattr(record, name, value)
    return True


def quieten() -> None:
    """Set the levels of the loggers of libraries, and take queries out of uvicorn's lines."""
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # At DEBUG it writes addresses with the key in them, and messages with tokens.
    logging.getLogger("websockets").setLevel(logging.INFO)
    # It logs each failed attempt, and what it did not understand with the row in it.
    logging.getLogger("realtime").setLevel(logging.CRITICAL)
    for name in ("uvicorn.asgi", "uvicorn.error"):  # below, they write all that a request brings
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.getEffectiveLevel(), logging.INFO))
    for name in _TELL_ADDRESSES:
        logging.getLogger(name).addFilter(without_queries)
    logging.getLogger("uvicorn.error").addFilter(no_refusal)


def no_refusal(record: logging.LogRecord) -> bool:
    """Drop the line about a refused handshake, which is no error and anybody's to make."""
    return record.msg != _AFTER_REFUSAL


def without_queries(record: logging.LogRecord) -> bool:
    """Remove queries from URLs in the arguments of a record; every record passes."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            _QUERY.sub("?...", each) if isinstance(each, str) else each for each in record.args
        )
    return True


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
