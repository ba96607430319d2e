"""The command line: scan, run, ingest and what else a person or a schedule asks of the worker."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from worker import backtest, logs
from worker import commands as commands_of_people
from worker.backtest_plot import svg
from worker.database import Database, connected
from worker.detection.observation import Rules
from worker.errors import UsageError, WorkerError
from worker.heartbeat import Heartbeat
from worker.ingest import command as ingest
from worker.ingest.files import CsvRecords, FileError, decoded, lines
from worker.ingest.forecast import Forecast
from worker.ingest.header import known_columns
from worker.ingest.options import add_arguments, add_reading_arguments, reading_of
from worker.kilograms.energy import Basis
from worker.kilograms.factors import FactorError, load
from worker.predictions import FactorPredictor
from worker.readings import Reader
from worker.recompute import Progress, Recomputer, ignore
from worker.retention import Retention
from worker.run import run
from worker.scan import ScanOptions, Summary, scan
from worker.settings import VARIABLES, Settings, SettingsError, Variable, misspelt

logger = logging.getLogger("worker")

PROGRAM = "hotspot-worker"
# Exit statuses, beside 1 of `ingest`. 130 is the shell's own for Ctrl-C.
OK, USAGE, FAILED, INTERRUPTED = 0, 2, 3, 130
# A batch holds some fifty thousand objects and hardly a cycle: with the default of 700 looking for
# cycles is a tenth of a scan's processor time, with as many as a batch holds still a twentieth.
OBJECTS_PER_COLLECTION = 200_000
NO_PROJECT = {"SUPABASE_URL": "http://127.0.0.1:1", "SUPABASE_SECRET_KEY": "none"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give the exit status."""
    options = _parser().parse_args(arguments)
    for warning in misspelt(os.environ):
        print(f"worker: warning: {warning}", file=sys.stderr)
    try:
        if options.command == "ingest" and options.dry_run:
            # It asks no project, so it needs none.
            settings = Settings.from_env(NO_PROJECT | os.environ)
            return ingest.run(options, Forecast(_basis(settings)), _days(settings))
        if options.command == "backtest":
            return _backtest(Settings.from_env(NO_PROJECT | os.environ), options)
        settings = Settings.from_env(os.environ)
        gc.set_threshold(OBJECTS_PER_COLLECTION)
        logs.configure(settings.log_format, settings.log_level)
        # httpx logs a line per request, realtime one per failed attempt; we say what it means.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        logging.getLogger("realtime").setLevel(logging.CRITICAL)
        if options.command == "ingest":
            forecast = Forecast(_basis(settings))
            return ingest.run(options, forecast, _days(settings), lambda: _connected(settings))
        if options.command in ("scan", "run"):
            return asyncio.run(_scan(settings) if options.command == "scan" else _run(settings))
        if options.command == "rebuild":
            return asyncio.run(_rebuild(settings, options.supplier or None))
        return asyncio.run(_command(settings, options))
    except (SettingsError, FileError, UsageError) as exc:
        return _fail(str(exc), USAGE)
    except WorkerError as exc:
        return _fail(str(exc), FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)


def _fail(text: str, status: int) -> int:
    print(_printable(f"worker: {text}"), file=sys.stderr)
    return status


def _printable(text: str) -> str:
    """Give lines of which some name what is in a file, or what the database said."""
    return "\n".join(map(logs.printable, text.split("\n")))


def _version() -> str:
    try:
        return version("hotspot-relay")
    except PackageNotFoundError:  # its files lie somewhere and were not installed
        return "(not installed)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM if Path(sys.argv[0]).name == PROGRAM else "python -m worker",
        description="Finds emission hotspots in supply-chain events and writes them to Supabase.",
        epilog="\n".join(["variables:", *map(_described, VARIABLES), "", EXIT_STATUSES]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("scan", help="work off all pending events once, for cron")
    commands.add_parser("run", help="scan on a schedule and whenever events arrive, as a service")
    commands_of_people.add_parsers(commands)
    rebuild = commands.add_parser(
        "rebuild",
        help="fold the past of suppliers anew",
        description="Judges the stored events of suppliers again, in order of event time, and "
        "replaces what is known of them: after another time zone, factor or class. What is open "
        "stays open if it still holds; nobody is alarmed of the past.",
    )
    rebuild.add_argument("supplier", nargs="*", help="suppliers; all of them if none is named")
    backtest_of = commands.add_parser(
        "backtest",
        help="say how good the detector is on a labelled CSV file; writes nothing",
        description="Judges the events of a file in order of their time, as the worker would, and "
        "counts what it finds against a column of labels: empty, 0 or normal is normal, any other "
        "text the kind of anomaly. No project is asked, nothing is written.",
    )
    backtest_of.add_argument("file", metavar="FILE.csv")
    backtest_of.add_argument("--labels", required=True, metavar="COLUMN")
    backtest_of.add_argument("--json", action="store_true", help="print JSON instead of a table")
    backtest_of.add_argument("--plot", metavar="FILE.svg", help="also draw the events there")
    add_reading_arguments(backtest_of)
    add_arguments(
        commands.add_parser(
            "ingest",
            help="write the events of a CSV or Excel file",
            description="Writes the events of a file in the order of their time, names each row "
            "that is refused, and says when a supplier is judged. Repeating a file adds nothing.",
        )
    )
    return parser


def _described(variable: Variable) -> str:
    default = f" ({variable.default})" if variable.default else ""
    return f"  {variable.name:<24}{variable.help}{default}"


EXIT_STATUSES = (
    "exit status: 0 done (also when another scan is running), 1 some rows of the file are bad and "
    "the\ngood ones are written, 2 wrong usage or settings, 3 Supabase failed, 130 interrupted"
)


def _plan(settings: Settings, basis: Basis, progress: Progress = ignore) -> ScanOptions:
    if settings.grid_country is None:
        logger.warning(
            "GRID_COUNTRY is not set: electricity of events without a country is computed with the "
            "world's average grid and marked country_assumed"
        )
    return ScanOptions(
        holder=uuid.uuid4(),
        lease_seconds=settings.lease_seconds,
        batch_events=settings.batch_events,
        rules=_rules(settings),
        predictor=FactorPredictor(basis),
        truck_classes=basis.factors.truck_classes,
        recomputer=Recomputer(basis, progress),
        reader=Reader(basis.factors, settings.timezone),
        basis=basis,
        wall=time.time if settings.clock == "wall" else None,
    )


def _days(settings: Settings) -> ingest.Days:
    return ingest.Days(settings.timezone, time.time if settings.clock == "wall" else None)


def _basis(settings: Settings) -> Basis:
    try:
        factors = load(settings.factor_files)
    except FactorError as exc:
        raise SettingsError(f"FACTORS_FILE: {exc}") from exc
    country = settings.grid_country
    if country is not None and factors.grid(country, None) is None:
        raise SettingsError(
            f"GRID_COUNTRY {settings.grid_country} has no electricity factor: give one by "
            "FACTORS_FILE"
        )
    return Basis(factors, settings.grid_country)


def _connected(settings: Settings) -> AbstractAsyncContextManager[Database]:
    return connected(
        settings.supabase_url, settings.secret_key, retry_seconds=settings.retry_seconds
    )


def _stop_on_signals() -> asyncio.Event:
    """Give an event that the first SIGINT or SIGTERM sets; the second one ends the process."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def request() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        stop.set()
        logger.info("stopping after the batch in flight; once more ends it at once")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, request)
    return stop


async def _scan(settings: Settings) -> int:
    stop = _stop_on_signals()
    async with _connected(settings) as database:
        plan = _plan(settings, _basis(settings))
        summary: Summary = await scan(database, plan, "cron", stop)
        if summary.outcome in ("done", "idle"):
            heartbeat = Heartbeat(database, plan.holder, plan.rules.thresholds)
            heartbeat.scanned(routine=True)
            await heartbeat.beat()
        await Retention(settings.keep_days).run(database, stop)
    print(summary)
    return INTERRUPTED if summary.outcome == "stopped" else OK


async def _command(settings: Settings, options: argparse.Namespace) -> int:
    stop, basis = _stop_on_signals(), _basis(settings)

    async def scan_once(database: Database, progress: Progress) -> Summary:
        return await scan(database, _plan(settings, basis, progress), "recompute", stop)

    command = commands_of_people.run(
        options, lambda: _connected(settings), basis, scan_once, _rules(settings)
    )
    running = asyncio.ensure_future(command)
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
    try:
        # A page in flight is stored; what only looks is left at once.
        async with asyncio.timeout(settings.grace_seconds if stop.is_set() else None):
            return await running
    except TimeoutError:
        return INTERRUPTED
    finally:
        stopped.cancel()


def _backtest(settings: Settings, options: argparse.Namespace) -> int:
    basis, reading = _basis(settings), reading_of(options)
    try:
        with open(options.file, "rb") as binary:
            source = CsvRecords(
                lines(decoded(binary, options.encoding)),
                lambda names: known_columns(names, reading.renamed),
            )
            rows, refused = backtest.read(source, options.labels, reading)
    except OSError as exc:
        raise FileError(f"{options.file} cannot be read: {exc.strerror}") from exc
    reader = Reader(basis.factors, settings.timezone)
    judged, notices = backtest.run(rows, basis, reader, _rules(settings))
    made = backtest.report(judged, notices, refused)
    print(json.dumps(made.row(), indent=1) if options.json else _printable(str(made)))
    if options.plot:
        try:
            Path(options.plot).write_text(svg(judged), encoding="utf-8")
        except OSError as exc:
            raise FileError(f"{options.plot} cannot be written: {exc.strerror}") from exc
    return OK


def _rules(settings: Settings) -> Rules:
    return Rules(
        settings.thresholds,
        settings.least_kg,
        calm=settings.calm,
        cooldown_seconds=settings.cooldown_hours * 3600,
    )


async def _rebuild(settings: Settings, suppliers: list[str] | None) -> int:
    stop = _stop_on_signals()
    async with _connected(settings) as database:
        keys = await database.request_rebuilds(suppliers, "asked for")
        if suppliers and not keys:
            return _fail(f"no events of {', '.join(suppliers)} were worked off", USAGE)
        summary = await scan(database, _plan(settings, _basis(settings), ignore), "rebuild", stop)
    print(f"{keys} keys are folded anew by this scan, or by the one that is running")
    print(summary)
    return INTERRUPTED if summary.outcome == "stopped" else OK


async def _run(settings: Settings) -> int:
    stop = _stop_on_signals()
    async with _connected(settings) as database:
        logger.info(
            "scanning %s every %gs, polling every %gs",
            settings.supabase_url,
            settings.scan_seconds,
            settings.poll_seconds,
        )
        await run(settings, database, _plan(settings, _basis(settings)), stop)
    return OK
