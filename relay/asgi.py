"""The relay for any ASGI server: `uvicorn --factory relay.asgi:create`."""

import logging
import os
import signal

from fastapi import FastAPI

from relay.app import create_app
from relay.logs import configure, quieten
from relay.settings import Settings

logger = logging.getLogger(__name__)


def create() -> FastAPI:
    """An application with the settings of the environment; a part that dies ends the process.

    Raises:
        SettingsError: A variable is missing or has a bad value.
    """
    settings = Settings.from_env(os.environ)
    configure(settings.server.log_format)
    quieten()
    return create_app(settings, on_failure=_stop)


def _stop(failure: str) -> None:
    logger.critical("stopped reason=%r", failure)
    signal.raise_signal(signal.SIGTERM)
