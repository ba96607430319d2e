"""Wires the parts of one relay together and keeps them running."""

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final, NoReturn

from relay.access.gate import AccessControl, OpenGate
from relay.access.limits import ConnectionLimiter
from relay.access.origins import Allows
from relay.access.tokens import Rules
from relay.connections.admission import Admission
from relay.connections.registry import ConnectionRegistry
from relay.connections.scheduling import Pacer
from relay.connections.session import SessionContext
from relay.metrics import Metrics
from relay.resume.backfill import Backfills
from relay.resume.cursor import CursorIssuer
from relay.resume.resume import PeerBeats, Resumer
from relay.resume.state_reader import InitialStates
from relay.settings import Settings, key_trouble
from relay.stream import encoding, io_uring
from relay.stream.broker import Broker
from relay.stream.counters import Counters
from relay.stream.fan_out import Batch
from relay.stream.flusher import Flusher
from relay.stream.hub import Hub
from relay.stream.log import LogLimits
from relay.time_slices import TimeSlices
from relay.upstream.catch_up import CatchUp
from relay.upstream.heartbeat import Heartbeat, Identity
from relay.upstream.live import Address, LiveLane
from relay.upstream.loss import LoadMeter, LossDetector, LossReport, RebuildBackoff
from relay.upstream.realtime_client import apply
from relay.upstream.rest import Rest
from relay.upstream.state import STALE_SECONDS, AnnouncedState, LaneSelector, UpstreamStatus
from relay.upstream.worker_status import WorkerMonitor

logger = logging.getLogger(__name__)

NEWCOMERS_SECONDS: Final = 0.01  # of each turn of the loop
WATCH_SECONDS: Final = 0.25
TICKS_PER_SECOND: Final = 4


class Relay:
    """One relay process's parts; opens nothing before `run`."""

    def __init__(self, settings: Settings, allows: Allows) -> None:
        self._now = now = time.monotonic
        project, delivery = settings.project, settings.delivery
        self._key = project.key
        self._identity = Identity(str(uuid.uuid4()))
        self._may_use_ring = delivery.io_uring
        self._ring: io_uring.Ring | None = None
        self._counters = Counters()
        self._hub = self._make_hub(settings)
        self._broker = Broker(
            self._hub,
            lambda source, changes: self._counters.arrived(source, changes, time.time()),
        )
        self._slices = TimeSlices(now)
        self._rest = Rest(project.url, project.key, project.gateway_key, self._slices)
        self._upstream = UpstreamStatus(started_at=now())
        self._upstream.catch_up.stale_seconds = max(STALE_SECONDS, 2 * delivery.catch_up_seconds)
        self._loss_detector = LossDetector()
        self._rebuilds = RebuildBackoff()
        self._load = LoadMeter()
        self._losses = LossReport()
        self._announced = AnnouncedState(self._upstream.state(now()))
        self._heartbeat = Heartbeat(self._rest, self._identity, now)
        self._catch_up = CatchUp(
            self._rest,
            self._broker,
            self._upstream,
            self._loss_detector,
            self._heartbeat,
            self,
            period=delivery.catch_up_seconds,
            now=now,
        )
        self._live = self._make_live_lane(settings)
        self._worker = WorkerMonitor(self._rest, now)
        self._issuer = CursorIssuer(
            delivery.cursor_key or project.key,
            self._identity,
            self._broker,
            clock=time.time,
            seconds=delivery.resume_seconds,
        )
        self._resumer = self._make_resumer(settings)
        self._states = InitialStates(
            self._rest,
            self._broker,
            self._issuer,
            self._slices,
            max_bytes_since=delivery.max_behind_bytes // 4,
            burst=settings.clients.per_user,
            now=now,
        )
        self._access_control = self._make_access_control(settings)
        self.sockets: Final = self._make_registry(settings, allows)
        self.metrics: Final = self._make_metrics()

    async def run(self) -> NoReturn:
        """Run all parts until one fails or the task is cancelled.

        Raises:
            ExceptionGroup: A part died.
        """
        apply()
        if (trouble := key_trouble(self._key, time.time())) is not None:
            logger.warning("%s", trouble)
        self._upstream.started_at = self._now()
        self._open_ring()
        try:
            async with asyncio.TaskGroup() as parts:
                parts.create_task(self._catch_up.run(), name="catch-up")
                parts.create_task(self._heartbeat.run(), name="heartbeat")
                parts.create_task(self._live.run(), name="live lane")
                parts.create_task(self._live.pump(), name="live rows")
                parts.create_task(self._watch(), name="watch")
                parts.create_task(self._worker.run(), name="worker status")
                if self._access_control is not None:
                    parts.create_task(self._access_control.run(), name="access")
            raise RuntimeError("all parts of the relay ended")
        finally:
            await self._states.close()
            await self._resumer.close()
            await self._rest.close()
            if self._ring is not None:
                self._ring.close()

    def _open_ring(self) -> None:
        if self._may_use_ring:
            try:
                self._ring = io_uring.opened()
            except io_uring.Unusable as exc:
                logger.info(
                    "io_uring is not used, each client costs a system call cause=%r", str(exc)
                )

    def _batch(self) -> Batch | None:
        return None if self._ring is None else io_uring.SocketBatch(self._ring)

    def _make_hub(self, settings: Settings) -> Hub:
        flusher = Flusher(self._counters, schedule=_later, now=self._now, clock=time.time)
        scoping = settings.access.scoping
        return Hub(
            LogLimits(max_bytes=settings.delivery.log_bytes),
            # What another relay, or another run, called by the same seq must not look like ours.
            random.SystemRandom().randrange(2**32, 2**51),
            flusher.changed,
            self._batch,
            scope_column=None if scoping is None else scoping.column,
        )

    def _make_live_lane(self, settings: Settings) -> LiveLane:
        project = settings.project
        return LiveLane(
            Address(
                project.realtime_url,
                project.gateway_key,
                project.key,
                self._identity,
            ),
            LaneSelector(project.live),
            rest=self._rest,
            broker=self._broker,
            upstream=self._upstream,
            loss_detector=self._loss_detector,
            heartbeat=self._heartbeat,
            catch_up=self._catch_up,
            now=self._now,
        )

    def _make_resumer(self, settings: Settings) -> Resumer:
        return Resumer(
            self._broker,
            self._issuer,
            PeerBeats(self._rest, self._issuer, self._now),
            Backfills(
                self._rest,
                self._broker,
                self._slices,
                now=self._now,
                most_rows=settings.delivery.resume_rows,
            ),
        )

    def _make_registry(self, settings: Settings, allows: Allows) -> ConnectionRegistry:
        now, limits, access = self._now, settings.clients.limits, settings.access
        gate = None if self._access_control is None else self._access_control.gate
        return ConnectionRegistry(
            SessionContext(
                hub=self._hub,
                states=self._states,
                resumes=self._resumer,
                pacer=Pacer(schedule=_later, now=now),
                upstream_state=lambda: self._announced.state,
                counts=self._counters,
                now=now,
                clock=time.time,
                max_behind_bytes=settings.delivery.max_behind_bytes,
                compresses_changes=settings.delivery.compression == "on",
                limits=limits,
            ),
            Admission(
                allows,
                gate or OpenGate(),
                ConnectionLimiter(limits),
                now,
                settings.server.proxies,
                local_only=not (access.required or access.public_without_auth),
            ),
            gate,
            settings.clients.auth_seconds,
            Pacer(schedule=_later, now=now, seconds=NEWCOMERS_SECONDS),
            compression=settings.delivery.compression != "off",
        )

    def _make_metrics(self) -> Metrics:
        return Metrics(
            broker=self._broker,
            hub=self._hub,
            upstream=self._upstream,
            loss_detector=self._loss_detector,
            live=self._live,
            worker=self._worker,
            resumes=self._resumer,
            counts=self._counters,
            now=self._now,
        )

    def _make_access_control(self, settings: Settings) -> AccessControl | None:
        if not settings.access.required:
            return None
        return AccessControl(
            settings.project.url,
            secret=settings.access.jwt_secret,
            rules=Rules(settings.issuer, settings.access.audience),
            scoping=settings.access.scoping,
            read=self._rest.access,
            changed=lambda: self.sockets.access_changed(),
            now=self._now,
            clock=time.time,
        )

    def health(self) -> dict[str, Any]:
        """Return the answer of `/readyz`: whether clients get every change in time, or why not.

        `lag_seconds` of an endpoint: everything that was committed up to that long ago has been
        sent; null before the first catch-up. `resumes` counts the clients that went on from their
        cursor, by where the relay found what they missed; `healed` the changes that the live lane
        lost. `worker` is null before it was read, and decides nothing.
        """
        upstream, now, worker = self._upstream, self._now(), self._worker.status()
        denied = None if self._access_control is None else self._access_control.trouble
        covered = upstream.catch_up.covered
        lags = {number: round(now - at, 3) for number, at in covered.items()}
        own = filter(None, (key_trouble(self._key, time.time()), denied))
        return {
            "ready": upstream.ready(now) and denied is None,
            "upstream": upstream.state(now),
            "authentication": "refused" if upstream.refused else "accepted",
            "reasons": [*own, *upstream.troubles(now, self._heartbeat.trouble)],
            "live": {
                "lane": upstream.live.lane,
                "proven": upstream.live.proven(now),
                "attempts": upstream.live.attempts,
                "healed": self._loss_detector.total,
            },
            "worker": None if worker is None else asdict(worker),
            "clients": len(self.sockets),
            "resumes": dict(self._resumer.kinds),
            "endpoints": {
                stream.endpoint.name: {
                    "lag_seconds": lags.get(stream.endpoint.number),
                    "sent": stream.seq - stream.first_seq,
                }
                for stream in self._hub
            },
        }

    async def _watch(self) -> NoReturn:
        ticks = 0
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            self.sockets.turn()
            self._heal()
            now = self._now()
            if self._announced.look(self._upstream.state(now), now):
                logger.info("upstream state changed state=%s", self._announced.state)
                for stream in self._hub:
                    stream.announce(encoding.status(self._announced.state))
            ticks += 1
            if ticks % TICKS_PER_SECOND == 0:
                self.sockets.tick()

    def _heal(self) -> None:
        now = self._now()
        self._load.note(now, self._broker.published.total())
        healed = self._loss_detector.due(now)
        if not healed:
            return
        trouble = f"it lost changes, {healed} of them just now"
        self._upstream.live.lossy(trouble, now)
        if not self._load.heavy and self._rebuilds.allows(now):
            self._live.rebuild(trouble, lane=True)
        elif (lost := self._losses.to_tell(healed, now)) > 0:
            # Many changes at once look like a rate limit of Realtime.
            logger.warning("live lane loses changes lost=%d heavy_load=%s", lost, self._load.heavy)

    def history_changed(self) -> None:
        """Forget cursors, beats and reads of the former history; see `CatchUpListener`."""
        self._resumer.forget()
        self._loss_detector.forget()
        self._identity.renew()
        self._heartbeat.request()
        self._live.rebuild("the database has another history", lane=False)

    def live_contradicted(self) -> None:
        """Replace the live lane, which brought what the database does not have."""
        trouble = "it brought what the database does not have"
        self._upstream.live.lossy(trouble, self._now())
        self._live.rebuild(trouble, lane=True)

    def snapshot_moved(self) -> None:
        """Announce newer cursors to all clients."""
        for stream in self._hub:
            stream.announce_cursors(self._issuer.cursors())


def _later(seconds: float, call: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(seconds, call)
