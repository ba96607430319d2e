"""Prometheus metrics: the answer of `/metrics`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from relay.resume.resume import Resumer
from relay.stream.broker import Broker, Source
from relay.stream.counters import Counters
from relay.stream.hub import Hub
from relay.upstream.live import LiveLane
from relay.upstream.loss import LossDetector
from relay.upstream.state import UpstreamState, UpstreamStatus
from relay.upstream.worker_status import WorkerMonitor

RESETS = ("epoch", "expired", "mismatch", "invalid", "overflow")
RESUMES = ("seq", "memory", "rest", "none")


@dataclass(frozen=True, kw_only=True, eq=False)
class Metrics(Collector):
    """Reads the numbers of the relay's parts when asked; `now` is its monotonic clock."""

    broker: Broker
    hub: Hub
    upstream: UpstreamStatus
    loss_detector: LossDetector
    live: LiveLane
    worker: WorkerMonitor
    resumes: Resumer
    counts: Counters
    now: Callable[[], float]

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield from self._changes()
        yield from self._clients()
        yield from self._upstream()
        yield from self._worker()
        yield from self._latencies()

    def _changes(self) -> Iterator[Metric]:
        published, dropped = (
            {source.value: numbers.get(source, 0) for source in Source}
            for numbers in (self.broker.published, self.broker.dropped)
        )
        yield _counter("relay_changes", "Changes published, by source", "source", published)
        yield _counter(
            "relay_duplicates_dropped",
            "Changes that another source had brought already, or newer ones",
            "source",
            dropped,
        )
        yield CounterMetricFamily(
            "relay_healed",
            "Changes that catch-up brought and the live lane did not",
            self.loss_detector.total,
        )
        yield CounterMetricFamily(
            "relay_reread",
            "Live rows that were not whole and were read again",
            self.live.reread,
        )

    def _clients(self) -> Iterator[Metric]:
        yield _counter(
            "relay_resets",
            "Clients told to start anew",
            "reason",
            dict.fromkeys(RESETS, 0) | self.counts.resets,
        )
        yield _counter(
            "relay_resumes",
            "Clients with a cursor, by where the relay found what they missed",
            "kind",
            dict.fromkeys(RESUMES, 0) | self.resumes.kinds,
        )
        yield CounterMetricFamily(
            "relay_resume_reads", "Requests to the database for them", self.resumes.reads
        )
        yield _counter("relay_deliveries", "Frames sent", "format", self.counts.deliveries)
        yield GaugeMetricFamily(
            "relay_log_bytes",
            "Bytes that the logs of all endpoints take",
            self.hub.budget.used,
        )
        yield GaugeMetricFamily(
            "relay_filters",
            "Different filters of connected clients, each format by itself",
            sum(1 for stream in self.hub for _ in stream.groups()),
        )
        clients = GaugeMetricFamily(
            "relay_clients", "Connected clients", labels=["endpoint", "format"]
        )
        for stream in self.hub:
            for format, members in stream.members().items():
                clients.add_metric([stream.endpoint.name, format.value], members)
        yield clients

    def _upstream(self) -> Iterator[Metric]:
        upstream, now = self.upstream, self.now()
        state = GaugeMetricFamily(
            "relay_upstream_state", "1 for the state that clients are told", labels=["state"]
        )
        for each in UpstreamState:
            state.add_metric([each], each is upstream.state(now))
        yield state
        yield GaugeMetricFamily(
            "relay_live_proven",
            "Whether a change came through the live lane lately",
            upstream.live.proven(now),
        )
        yield GaugeMetricFamily(
            "relay_authentication_refused",
            "Whether Supabase does not accept the relay's key",
            upstream.refused,
        )
        yield CounterMetricFamily(
            "relay_live_attempts", "Connections to Realtime begun", upstream.live.attempts
        )
        covered_at = upstream.catch_up.covered_at
        if covered_at is not None:
            yield GaugeMetricFamily(
                "relay_catch_up_lag_seconds",
                "Everything committed that long ago has been published",
                now - covered_at,
            )

    def _worker(self) -> Iterator[Metric]:
        status = self.worker.status()
        if status is None:
            return
        for name, text, value in (
            ("age_seconds", "Since a worker was last heard of", status.age_seconds),
            ("last_scan_seconds", "Since one had nothing left to do", status.last_scan_seconds),
            ("pending_events", "Events that wait for it", status.pending),
            ("oldest_pending_seconds", "Since the first arrived", status.oldest_pending_seconds),
        ):
            if value is not None:
                yield GaugeMetricFamily(f"relay_worker_{name}", text, value)

    def _latencies(self) -> Iterator[Metric]:
        relay = HistogramMetricFamily(
            "relay_commit_to_relay_seconds",
            "From the write of a row, by the database's clock, to its publication",
            labels=["source"],
        )
        for source, histogram in self.counts.to_relay.items():
            relay.add_metric([source], histogram.buckets(), histogram.sum)
        yield relay
        socket = self.counts.to_socket
        yield HistogramMetricFamily(
            "relay_commit_to_socket_seconds",
            "From the write of the newest row of a flush to the end of that flush",
            buckets=socket.buckets(),
            sum_value=socket.sum,
        )


def _counter(name: str, text: str, label: str, numbers: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, number in numbers.items():
        family.add_metric([value], number)
    return family
