"""`python -m chaos.serving`: serves the emulated Supabase on a database that somebody else
runs, so that it can be killed and started again, or put on another database, by itself."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from pathlib import Path

from chaos.servers import DATABASE
from emulator import keys_file, launch
from emulator.database import Database
from emulator.realtime.settings import RealtimeSettings
from emulator.running import Emulator, listen
from emulator.settings import Settings

READY = "serving on"
# Half of what the real one waits for: a server that is stopped for 15 s makes its subscriptions
# go silent for good, as one that is away for more than a minute does there.
GIVE_UP_SECONDS = 12.0


def main() -> None:
    """Serve until SIGTERM."""
    options = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: ended.set())
    realtime = RealtimeSettings(give_up_seconds=GIVE_UP_SECONDS, rate_limit=options.rate_limit)
    with Emulator.running(
        Database(launch.server(options.data), DATABASE),
        keys=keys_file.load_or_create(options.keys),
        settings=Settings(realtime=realtime),
        listener=listen("127.0.0.1", options.port),
        ended=ended,
    ):
        print(READY, options.port, flush=True)
        ended.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate-limit", type=float)
    return parser


if __name__ == "__main__":
    main()
