"""Say in words what a plan was made for: its cost, its times, its promise."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from hexplan.engines import ENGINES
from hexplan.render import words

if TYPE_CHECKING:
    from hexplan.plan import Plan
    from hexplan.predicted import SimulatedRate, SustainedRate
    from hexplan.workload import Balance, Workload


def aim_lines(plan: Plan) -> Iterator[str]:
    """Yield its engine, if that runs not every plan, and a line for each objective with figures."""
    predicted = plan.predicted
    engine = ENGINES[plan.cluster.limits.engine]
    if engine.whole_replicas:
        yield f"keeps to what {engine.title} runs"
    if predicted.sustained is not None:
        yield _sustained(predicted.sustained, plan.workload)
    if plan.step_limits is not None:
        limits = plan.step_limits
        yield f"steps of at most {limits.tokens} tokens, {limits.decodes} of them decodes"
    if predicted.cost_usd_per_h is not None:
        yield f"{usd(predicted.cost_usd_per_h)} USD/h for the hosts in use{_cost_proof(plan)}"
    if predicted.slo_requests_per_s is not None and plan.workload.slo is not None:
        slo = plan.workload.slo
        yield (
            f"{words.rate(predicted.slo_requests_per_s)} requests/s keep"
            f" {_time(slo.ttft_s)} to the first token and {_time(slo.tpot_s)} a token"
            f" for {words.percent(slo.attainment)} of them, as simulated"
        )
    if predicted.ttft_s is not None and predicted.tpot_s is not None:
        yield (
            f"{_time(predicted.ttft_s)} to the first token and {_time(predicted.tpot_s)} a"
            f" token on average ({predicted.latency_basis})"
        )
    if predicted.balance is not None:
        yield _balance(predicted.balance)


def aim_summary(plan: Plan) -> str | None:
    """Return the figure that a plan was made for; None if that is the flow."""
    predicted, asked = plan.predicted, plan.workload.request_rate_per_s
    if plan.objective == "cost" and predicted.cost_usd_per_h is not None:
        cost = usd(predicted.cost_usd_per_h)
        return f"{cost} USD/h for {asked:g} requests/s{_cost_proof(plan)}"
    if (
        plan.objective == "latency"
        and predicted.ttft_s is not None
        and predicted.tpot_s is not None
    ):
        times = f"{_time(predicted.ttft_s)} to the first token, {_time(predicted.tpot_s)} a token"
        return f"{times} at {asked:g} requests/s"
    if plan.objective in ("sustained", "balanced") and predicted.sustained is not None:
        return _sustained(predicted.sustained, plan.workload)
    if plan.objective == "slo" and predicted.slo_requests_per_s is not None:
        return f"{words.rate(predicted.slo_requests_per_s)} requests/s within the SLO, simulated"
    return None


def _balance(balance: Balance) -> str:
    """Return which latencies were allowed."""
    hops = round(float(balance.hops), 1)
    stages = "1 stage" if hops == 1 else f"{hops:g} stages"
    return (
        f"allowed: {_time(balance.ttft_s)} and {_time(balance.tpot_s)},"
        f" {balance.factor:f} times those of a plan of {stages}"
    )


_HOW: Final = {"chunked": "rehearsed", "whole": "by formula"}
"""How a sustained rate was found that was not simulated, by the scheduler."""


def _sustained(sustained: SustainedRate, workload: Workload) -> str:
    """Return the sustained rate: as simulated if the simulation was long enough, else rehearsed.

    Long enough means at least as long as a mean request takes.
    """
    rates: SustainedRate | SimulatedRate = sustained
    how, simulated = _HOW[sustained.policy], sustained.simulated
    if simulated is not None:
        measured_s = simulated.duration_s - simulated.warmup_s
        stay_s = simulated.ttft_s + workload.output_tokens.mean * simulated.tpot_s
        if simulated.requests_per_s and measured_s >= stay_s:
            rates, how = simulated, "simulated"
        else:
            how += f"; {_time(measured_s)} of simulation are too short, requests take longer"
    decoded = words.rate(rates.decode_tokens_per_s)
    requests = words.rate(rates.requests_per_s)
    return f"{decoded} decoded tokens/s sustained, {requests} requests/s ({how})"


def usd(amount: Decimal) -> str:
    """Return an amount in dollars, with cents or as many decimals as it has."""
    cents = amount.quantize(Decimal("0.01"))
    return f"{cents:,}" if cents == amount else f"{amount.normalize():f}"


def _time(time_s: Decimal) -> str:
    return words.latency(float(time_s))


def _cost_proof(plan: Plan) -> str:
    bound, gap = plan.certificate.cost_bound_usd_per_h, plan.certificate.cost_gap
    if bound is None:
        return ""
    trusted = " (trusted)" if bound else ""
    shown = f", gap {words.gap(gap)}" if gap is not None else ""
    return f", at least {usd(bound)} USD/h for any plan{trusted}{shown}"
