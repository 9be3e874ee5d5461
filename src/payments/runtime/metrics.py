"""Our own metrics, in CloudWatch's embedded metric format: a log line on standard output that CloudWatch turns into metrics.

No agent, no network call. Source: CloudWatch, "Embedded metric format specification".
"""

from collections.abc import Awaitable, Callable, Mapping

from payments.runtime.background import Background
from payments.runtime.clock import Clock
from payments.runtime.logging import Logger
from payments.runtime.topology import METRIC_NAMESPACE, METRIC_UNITS, Metric

REPORT_SECONDS = 15.0

Readings = Mapping[Metric, float]


class MetricReporter:
    """Reports a service's readings four times a minute."""

    def __init__(self, service: str, environment: str, read: Callable[[], Awaitable[Readings]], clock: Clock, log: Logger) -> None:
        """`read` takes the readings."""
        self._dimensions = {"Environment": environment, "Service": service}
        self._read = read
        self._clock = clock
        self._log = log

    def keep(self, background: Background) -> None:
        """Report for ever."""
        background.repeat("metrics", self._report, every_seconds=REPORT_SECONDS)

    async def _report(self) -> None:
        self.report(await self._read())

    def report(self, readings: Readings) -> None:
        """Write one report."""
        if not readings:
            return
        definitions = [{"Name": metric.value, "Unit": METRIC_UNITS[metric]} for metric in readings]
        directive = {"Namespace": METRIC_NAMESPACE, "Dimensions": [sorted(self._dimensions)], "Metrics": definitions}
        self._log.event(
            "metrics",
            _aws={"Timestamp": int(self._clock.now() * 1000), "CloudWatchMetrics": [directive]},
            **self._dimensions,
            **{metric.value: value for metric, value in readings.items()},
        )
