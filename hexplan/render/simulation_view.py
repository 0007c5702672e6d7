"""Show a simulation's outcome to people: rates, latencies, stages, and warnings."""

from __future__ import annotations

from collections.abc import Iterator

from hexplan.render import words
from hexplan.render.sections import Part, Section, sections_text, table
from hexplan.results.outcome import Outcome, Spread


def outcome_text(outcome: Outcome) -> str:
    """Return an outcome as `simulate` prints it on stdout."""
    return sections_text(_sections(outcome))


def outcome_json(outcome: Outcome) -> str:
    """Return an outcome as JSON."""
    return outcome.model_dump_json(indent=2) + "\n"


def _sections(outcome: Outcome) -> Iterator[Section]:
    yield Section("", _headline(outcome))
    yield Section("Latency", [_latency(outcome)])
    if outcome.slo is not None:
        yield Section("Promise", _promise(outcome))
    yield Section("Stages", [_stages(outcome)])
    if outcome.warnings:
        yield Section("Bear in mind", [f"  {warning}" for warning in outcome.warnings])


def _headline(outcome: Outcome) -> Iterator[Part]:
    yield (
        f"{outcome.output_tokens_per_s:,.1f} output tokens/s,"
        f" {outcome.requests_per_s:.3g} requests/s"
    )
    how = "found" if outcome.is_warmup_detected else "given"
    yield (
        f"{outcome.duration_s:.0f} s simulated, the first {outcome.warmup_s:.0f} s left out"
        f" ({how}); policy {outcome.policy}, seed {outcome.seed}"
    )
    restarts = f", {outcome.restarts} restarts" if outcome.restarts else ""
    restarts += f", {outcome.swaps} swaps to host memory" if outcome.swaps else ""
    if outcome.max_slowdown is not None:
        yield (
            f"queue {outcome.queue}: requests took {outcome.mean_slowdown:.3g} times as long as"
            f" alone, the unluckiest {outcome.max_slowdown:.3g} times"
        )
    turned_away = f", {outcome.turned_away} turned away" if outcome.turned_away else ""
    yield (
        f"{outcome.arrived} requests came: {outcome.finished} finished,"
        f" {outcome.unfinished} still there{turned_away}{restarts}"
    )


def _latency(outcome: Outcome) -> Part:
    spreads = (
        ("first token (TTFT)", outcome.ttft),
        ("per token (TPOT)", outcome.tpot),
        ("between tokens (ITL)", outcome.itl),
        ("whole request", outcome.e2e),
    )
    rows = [(name, *_times(spread)) for name, spread in spreads]
    return table(("", "mean", "p50", "p90", "p99"), rows, 4)


def _times(spread: Spread | None) -> tuple[str, ...]:
    if spread is None:
        return ("-",) * 4
    return tuple(map(words.latency, (spread.mean_s, spread.p50_s, spread.p90_s, spread.p99_s)))


def _promise(outcome: Outcome) -> Iterator[Part]:
    slo = outcome.slo
    assert slo is not None
    limits = [
        f"{name} {words.latency(limit_s)}"
        for name, limit_s in (("TTFT", slo.ttft_s), ("TPOT", slo.tpot_s))
        if limit_s is not None
    ]
    yield (
        f"  {slo.attainment:.1%} of the requests kept {' and '.join(limits)}:"
        f" {slo.goodput_requests_per_s:.3g} requests/s"
    )


def _stages(outcome: Outcome) -> Part:
    is_split = any(use.phase != "both" for use in outcome.stages)
    rows = [
        (
            use.stage,
            *([use.phase] if is_split else []),
            f"{use.busy:.0%}",
            f"{use.mean_kv:.0%}",
            f"{use.max_kv:.0%}",
            f"{use.mean_queued_tokens:,.1f}",
        )
        for use in outcome.stages
    ]
    serves = ["serves"] if is_split else []
    return table(("stage", *serves, "busy", "KV kept", "at most", "tokens waiting"), rows, 4)
