"""What is counted of a service, in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

__all__ = ["PATHS", "Metrics"]

PATHS = ("/", "/about", "/health", "/metrics", "/predict")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SAMPLES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # process_resident_memory_bytes and others
        self._requests = Counter(
            "graphwright_requests",
            "Requests by path and status.",
            ("path", "status"),
            registry=self.registry,
        )
        self._seconds = self._histogram(
            "graphwright_request_seconds", "From the headers to the answer.", _SECONDS, ("path",)
        )
        self._call_samples = self._histogram(
            "graphwright_call_samples", "Samples in a call of the model.", _SAMPLES
        )
        self._call_requests = self._histogram(
            "graphwright_call_requests", "Requests that share a call of the model.", _SAMPLES
        )
        self._samples = self._counter("graphwright_samples", "Samples that were predicted.")
        self._rejected = self._counter("graphwright_rejected_rows", "Input rows that were not.")

    def watch(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """A gauge that is asked for when somebody looks."""
        Gauge(name, meaning, registry=self.registry).set_function(value)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count an answer; paths that do not exist are one."""
        known = path if path in PATHS else "other"
        self._requests.labels(known, str(status)).inc()
        self._seconds.labels(known).observe(seconds)

    def call(self, samples: int, requests: int) -> None:
        """Count a call of the model."""
        self._call_samples.observe(samples)
        self._call_requests.observe(requests)

    def rows(self, predicted: int, rejected: int) -> None:
        """Count the rows of an answer."""
        self._samples.inc(predicted)
        self._rejected.inc(rejected)

    def text(self) -> bytes:
        """What Prometheus reads."""
        return generate_latest(self.registry)

    def _counter(self, name: str, meaning: str) -> Counter:
        return Counter(name, meaning, registry=self.registry)

    def _histogram(
        self, name: str, meaning: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()
    ) -> Histogram:
        return Histogram(name, meaning, labels, buckets=buckets, registry=self.registry)
