"""What a plan was made for, in words: its cost, its times, its promise."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from hexplan.render import words

if TYPE_CHECKING:
    from hexplan.plan import Plan, SimulatedRate, SustainedRate
    from hexplan.workload import Workload


def aim_lines(plan: Plan) -> Iterator[str]:
    """Yield a line for each aim that the plan states figures for."""
    predicted = plan.predicted
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
            f" {seconds(slo.ttft_s)} to the first token and {seconds(slo.tpot_s)} a token"
            f" for {words.percent(slo.attainment)} of them, as simulated"
        )
    if predicted.ttft_s is not None and predicted.tpot_s is not None:
        yield (
            f"{seconds(predicted.ttft_s)} to the first token and {seconds(predicted.tpot_s)} a"
            f" token in the mean ({predicted.latency_basis})"
        )


def aim_summary(plan: Plan) -> str | None:
    """Return the figure that a plan for something other than flow was made for, or nothing."""
    predicted, asked = plan.predicted, plan.workload.request_rate_per_s
    if plan.objective == "cost" and predicted.cost_usd_per_h is not None:
        cost = usd(predicted.cost_usd_per_h)
        return f"{cost} USD/h for {asked:g} requests/s{_cost_proof(plan)}"
    if (
        plan.objective == "latency"
        and predicted.ttft_s is not None
        and predicted.tpot_s is not None
    ):
        times = (
            f"{seconds(predicted.ttft_s)} to the first token, {seconds(predicted.tpot_s)} a token"
        )
        return f"{times} at {asked:g} requests/s"
    if plan.objective == "sustained" and predicted.sustained is not None:
        return _sustained(predicted.sustained, plan.workload)
    if plan.objective == "slo" and predicted.slo_requests_per_s is not None:
        return f"{words.rate(predicted.slo_requests_per_s)} requests/s within the SLO, simulated"
    return None


def _sustained(sustained: SustainedRate, workload: Workload) -> str:
    """Say what is served for long, as simulated where it was for long enough, else by formula.

    Long enough is at least the time for which a mean request stays.
    """
    rates: SustainedRate | SimulatedRate = sustained
    how, simulated = "by formula", sustained.simulated
    if simulated is not None:
        measured_s = simulated.duration_s - simulated.warmup_s
        stay_s = simulated.ttft_s + workload.output_tokens.mean * simulated.tpot_s
        if simulated.requests_per_s and measured_s >= stay_s:
            rates, how = simulated, "simulated"
        else:
            how += f"; {seconds(measured_s)} of simulation say nothing, requests stay longer"
    decoded = words.rate(rates.decode_tokens_per_s)
    requests = words.rate(rates.requests_per_s)
    return f"{decoded} decoded tokens/s sustained, {requests} requests/s ({how})"


def usd(amount: Decimal) -> str:
    """Return an amount in dollars, to the cent or finer where it is finer."""
    cents = amount.quantize(Decimal("0.01"))
    return f"{cents:,}" if cents == amount else f"{amount.normalize():f}"


def seconds(time_s: Decimal) -> str:
    """Return a time in ms where it is below a second."""
    return f"{float(time_s):.3g} s" if time_s >= 1 else f"{float(time_s) * 1000:.3g} ms"


def _cost_proof(plan: Plan) -> str:
    bound, gap = plan.certificate.cost_bound_usd_per_h, plan.certificate.cost_gap
    if bound is None:
        return ""
    shown = f", gap {words.gap(gap)}" if gap is not None else ""
    return f", at least {usd(bound)} USD/h for any plan{shown}"
