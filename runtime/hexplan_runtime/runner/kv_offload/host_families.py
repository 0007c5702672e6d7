"""What /metrics tells of keys and values in host memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, Metric

from hexplan_runtime.runner.kv_offload.host_traffic import HostTraffic

_Value = Callable[[HostTraffic], float]
_FAMILIES: Final[tuple[tuple[str, str, _Value], ...]] = (
    ("fetched_bytes", "Keys and values that a device fetched", lambda one: one.fetched_bytes),
    ("fetched_ahead_bytes", "What of that came a layer ahead", lambda one: one.ahead_bytes),
    ("stored_bytes", "Keys and values that went to host memory", lambda one: one.stored_bytes),
    ("waited_seconds", "Time that layers waited for an emulated link", lambda one: one.waited_s),
)


def host_families(host: Sequence[HostTraffic]) -> Iterator[Metric]:
    """Yield what the leaders of stages have moved to host memory and back; others move as much."""
    for name, text, value in _FAMILIES:
        family = CounterMetricFamily(f"hexplan_stage_host_{name}", text, labels=("stage",))
        for one in host:
            family.add_metric((one.stage,), value(one))
        yield family
