"""Metrics: what /metrics tells, by vLLM's names under `hexplan_`, and of the plan's edges."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from hexplan.plan import Plan
from hexplan_runtime.applying.plan_families import plan_families
from hexplan_runtime.applying.view import Current
from hexplan_runtime.engine.outcomes import Ticket
from hexplan_runtime.engine.snapshot import EngineSnapshot
from hexplan_runtime.request import FinishReason
from hexplan_runtime.runner.kv_offload.host_families import host_families
from hexplan_runtime.serve.jobs import Job
from hexplan_runtime.serve.problems import ApiError, TooMany

OWN, VLLM = "hexplan_", "vllm:"
_LONG_S: Final = (0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960)
_SHORT_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.1, 0.2, 0.3, 0.5, 0.8, 1, 2, 5)
_FIRST_S: Final = (*_SHORT_S[:12], 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160)
_PARTS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, *_LONG_S)
_COUNTS: Final = tuple(m * 10**e for e in range(6) for m in (1, 2, 5))


class Metrics:
    """Counts what clients asked for and got.

    Parameters
    ----------
    has_vllm_names
        Whether the metrics that vLLM has too are also told by vLLM's names.
    """

    def __init__(self, current: Current, name: str, *, has_vllm_names: bool) -> None:
        self._common = CollectorRegistry()
        labels = ("model_name",)

        def histogram(metric: str, text: str, buckets: Iterable[float]) -> Histogram:
            made = Histogram(metric, text, labels, registry=self._common, buckets=tuple(buckets))
            return made.labels(name)

        def counter(metric: str, text: str) -> Counter:
            return Counter(metric, text, labels, registry=self._common).labels(name)

        self.prompt_tokens = counter("prompt_tokens", "Prompt tokens of requests taken")
        self.generation_tokens = counter("generation_tokens", "Tokens generated")
        self.rejections = counter("admission_rejections", "Requests refused because of load")
        self._success = Counter(
            "request_success", "Choices ended", (*labels, "finished_reason"), registry=self._common
        )
        self.first_token = histogram(
            "time_to_first_token_seconds", "From a request to its first token", _FIRST_S
        )
        self.inter_token = histogram(
            "inter_token_latency_seconds", "From one token of a choice to the next", _SHORT_S
        )
        self.per_token = histogram(
            "request_time_per_output_token_seconds", "Mean of a choice after its first", _SHORT_S
        )
        self.whole = histogram(
            "e2e_request_latency_seconds", "From a request to a choice's last token", _LONG_S
        )
        self.queued = histogram(
            "request_queue_time_seconds", "From a request until it found room", _PARTS_S
        )
        self.prefill = histogram(
            "request_prefill_time_seconds", "From room to a choice's first token", _PARTS_S
        )
        self.decode = histogram(
            "request_decode_time_seconds", "From a choice's first token to its last", _PARTS_S
        )
        self.inference = histogram(
            "request_inference_time_seconds", "From room to a choice's last token", _PARTS_S
        )
        self.asked = histogram("request_prompt_tokens", "Prompt tokens of a choice", _COUNTS)
        self.made = histogram("request_generation_tokens", "Tokens of a choice", _COUNTS)
        self._name = name
        self._common.register(_Load(current, name))
        self._exposed = CollectorRegistry()
        self._exposed.register(_Prefixed(self._common, OWN))
        self._exposed.register(_Flows(current))
        if has_vllm_names:
            self._exposed.register(_Prefixed(self._common, VLLM))

    def clock(self, job: Job) -> JobClock:
        """Return what measures the times of a job that begins now."""
        return JobClock(self, job)

    def refused(self, problem: ApiError) -> None:
        """Count a request that the engine refused."""
        if isinstance(problem, TooMany):
            self.rejections.inc()

    def finished(self, reason: FinishReason | Literal["abort"]) -> None:
        """Count a choice that came to its end, or that nobody wants any more."""
        self._success.labels(self._name, reason).inc()

    def page(self, accept: str) -> tuple[bytes, str]:
        """Return the page for a scraper, and its type."""
        encode, kind = choose_encoder(accept)
        return encode(self._exposed), kind


class JobClock:
    """Measures the times of one job."""

    def __init__(self, metrics: Metrics, job: Job) -> None:
        self._metrics = metrics
        self._job = job
        self._begun_s = time.monotonic()
        self._tickets: dict[int, Ticket] = {}
        self._first_s: dict[int, float] = {}
        self._last_s: dict[int, float] = {}
        self._tokens = [0] * len(job.choices)

    def begin(self, choice: int, ticket: Ticket) -> None:
        """Note what tells when a choice finds room."""
        self._tickets[choice] = ticket

    def token(self, choice: int, now_s: float) -> None:
        """Count a token, which came at this time of the monotonic clock."""
        self._tokens[choice] += 1
        self._metrics.generation_tokens.inc()
        last_s = self._last_s.get(choice)
        if last_s is None:
            self._first_s[choice] = now_s
            self._metrics.prompt_tokens.inc(len(self._job.choices[choice].prompt.ids))
            self._metrics.first_token.observe(now_s - self._begun_s)
        else:
            self._metrics.inter_token.observe(now_s - last_s)
        self._last_s[choice] = now_s

    def finish(self, choice: int, now_s: float, reason: FinishReason) -> None:
        """Count a choice that came to its end."""
        metrics, tokens = self._metrics, self._tokens[choice]
        metrics.finished(reason)
        metrics.whole.observe(now_s - self._begun_s)
        metrics.asked.observe(len(self._job.choices[choice].prompt.ids))
        metrics.made.observe(tokens)
        first_s = self._first_s[choice]
        admitted_s = self._tickets[choice].admitted_s
        assert admitted_s is not None  # the engine says so before it sends anything in
        metrics.queued.observe(max(0.0, admitted_s - self._begun_s))
        metrics.prefill.observe(first_s - admitted_s)
        metrics.decode.observe(now_s - first_s)
        metrics.inference.observe(now_s - admitted_s)
        if tokens > 1:
            metrics.per_token.observe((now_s - first_s) / (tokens - 1))

    def abort(self) -> None:
        """Count a choice that was cancelled."""
        self._metrics.finished("abort")


class _Load(Collector):
    """How many requests are under way, and how full the caches are."""

    def __init__(self, current: Current, name: str) -> None:
        self._current = current
        self._name = name

    def describe(self) -> list[Metric]:
        """Return nothing: names are known only once somebody asks."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        seen = self._current.snapshot()
        for metric, text, value in (
            ("num_requests_running", "Requests that hold room on a route", seen.running),
            ("num_requests_waiting", "Requests that wait for room", seen.waiting),
            ("num_requests_swapped", "Requests whose KV is in host memory", seen.swapped),
            (
                "kv_cache_usage_perc",
                "How full the fullest stage's KV cache is; 1 is full",
                fullest(seen),
            ),
        ):
            gauge = GaugeMetricFamily(metric, text, labels=("model_name",))
            gauge.add_metric((self._name,), value)
            yield gauge
        preemptions = CounterMetricFamily(
            "num_preemptions", "Times that requests had to make way", labels=("model_name",)
        )
        preemptions.add_metric((self._name,), seen.preemptions)
        yield preemptions


class _Flows(Collector):
    """Tokens on each edge and route, and KV of each stage, beside what the plan predicts."""

    def __init__(self, current: Current) -> None:
        self._current = current

    def describe(self) -> list[Metric]:
        """Return nothing: names are known only once somebody asks."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the counters and gauges."""
        plan, seen = self._current.look()
        ends = ("source", "target")
        tokens = CounterMetricFamily(f"{OWN}edge_tokens", "Tokens sent over an edge", labels=ends)
        for edge in seen.edges:
            tokens.add_metric((edge.source, edge.target), edge.tokens)
        predicted = GaugeMetricFamily(
            f"{OWN}edge_predicted_tokens_per_second", "Flow that the plan predicts", labels=ends
        )
        for planned in plan.edges:
            predicted.add_metric((planned.source, planned.target), float(planned.tokens_per_s))
        routed = CounterMetricFamily(f"{OWN}route_tokens", "Tokens of a route", labels=("route",))
        taken = CounterMetricFamily(
            f"{OWN}route_requests", "Requests that took a route", labels=("route",)
        )
        for route in seen.routes:
            routed.add_metric((str(route.route),), route.tokens)
            taken.add_metric((str(route.route),), route.requests)
        weight = GaugeMetricFamily(
            f"{OWN}route_weight", "Share of requests that the plan gives a route", labels=("route",)
        )
        for index, planned_route in enumerate(plan.routes):
            weight.add_metric((str(index),), float(planned_route.weight))
        kv = GaugeMetricFamily(
            f"{OWN}stage_kv_usage", "How full a stage's KV cache is; 1 is full", labels=("stage",)
        )
        hits = CounterMetricFamily(
            f"{OWN}stage_prefix_hit_tokens",
            "Tokens of prompts that a stage had already",
            labels=("stage",),
        )
        swapped = GaugeMetricFamily(
            f"{OWN}stage_swapped_tokens",
            "Tokens in a stage's host memory, of requests that made way",
            labels=("stage",),
        )
        for stage in seen.kv:
            kv.add_metric((stage.stage,), stage.held_tokens / max(stage.total_tokens, 1))
            hits.add_metric((stage.stage,), stage.hit_tokens)
            swapped.add_metric((stage.stage,), stage.swapped_tokens)
        swaps = CounterMetricFamily(
            f"{OWN}kv_swaps", "Times that KV went to host memory for others", labels=()
        )
        swaps.add_metric((), seen.swaps)
        yield from (tokens, predicted, routed, taken, weight, kv, hits, swapped, swaps)
        yield from self._healing(plan, seen)

    def _healing(self, plan: Plan, seen: EngineSnapshot) -> Iterator[Metric]:
        """Yield what stages that were lost have meant so far."""
        masked = GaugeMetricFamily(
            f"{OWN}route_masked", "1 while no request may take a route", labels=("route",)
        )
        for index in range(len(plan.routes)):
            masked.add_metric((str(index),), float(index in seen.masked))
        losses = CounterMetricFamily(
            f"{OWN}stage_losses", "Times that a stage was lost and started again", labels=("stage",)
        )
        for stage, generation in zip(plan.stages, seen.generations, strict=True):
            losses.add_metric((stage.id,), generation)
        replays = CounterMetricFamily(
            f"{OWN}replays", "Times that requests started over on another route", labels=()
        )
        replays.add_metric((), seen.replays)
        yield from (masked, losses, replays, *host_families(seen.host))
        yield from plan_families(self._current)


class _Prefixed(Collector):
    """The metrics of a registry by names with a prefix."""

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self._registry = registry
        self._prefix = prefix

    def describe(self) -> list[Metric]:
        """Return nothing: names are known only once somebody asks."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield copies of all metrics."""
        for metric in self._registry.collect():
            copy = Metric(self._prefix + metric.name, metric.documentation, metric.type)
            copy.samples = [
                Sample(self._prefix + sample.name, *sample[1:])
                for sample in metric.samples
                if not sample.name.endswith("_created")
            ]
            yield copy


def fullest(seen: EngineSnapshot) -> float:
    """Return how full the fullest stage's KV cache is, as a share."""
    return max((kv.held_tokens / max(kv.total_tokens, 1) for kv in seen.kv), default=0.0)
