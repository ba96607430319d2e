"""Log lines of the emulator: an event and key=value fields, as text or JSON."""

from __future__ import annotations

import logging
import re
from typing import Final

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
