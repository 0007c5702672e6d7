"""What people read of a plan's cost, times and promise."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from support.broken_balance import BALANCED
from support.broken_objectives import PRICED
from support.changes import change_certificate, change_plan, change_predicted, change_stage
from support.plans import two_hosts_plan

from hexplan.predicted import SimulatedRate, SustainedRate
from hexplan.render import plan_text, summary, words
from hexplan.render.aim_view import usd
from hexplan.workload import Slo

TWO = two_hosts_plan()
TIMES = {
    "ttft_s": Decimal("1.25"),
    "tpot_s": Decimal("0.0301"),
    "latency_basis": "by hand",
}


def test_a_cost_is_shown_with_its_bound_and_gap() -> None:
    bound = "at least 4.00 USD/h for any plan (trusted), gap 25 %"
    assert f"5.00 USD/h for the hosts in use, {bound}" in " ".join(plan_text(PRICED).split())
    assert summary(PRICED, Path("p.json")) == (
        f"wrote p.json: 5.00 USD/h for 50 requests/s, {bound}, in 3 stages, 0.00 s"
    )


def test_a_bound_of_nothing_has_no_gap() -> None:
    free = change_certificate(PRICED, cost_bound_usd_per_h=Decimal(0), cost_gap=None)
    assert "at least 0.00 USD/h for any plan" in plan_text(free)
    assert "any plan, gap" not in plan_text(free)


def test_times_are_shown_with_what_they_rest_on() -> None:
    asked = TWO.workload.model_copy(update={"request_rate_per_s": 60.0})
    plan = change_predicted(change_plan(TWO, objective="latency", workload=asked), **TIMES)
    assert "1.25 s to the first token and 30.1 ms a token on average (by hand)" in plan_text(plan)
    assert summary(plan, None).startswith("1.25 s to the first token, 30.1 ms a token at 60 req")


def test_a_promise_is_shown_with_the_rate_that_keeps_it() -> None:
    slo = Slo(ttft_s=Decimal(2), tpot_s=Decimal("0.1"), attainment=Decimal("0.99"))
    asked = TWO.workload.model_copy(update={"slo": slo})
    plan = change_plan(TWO, objective="slo", workload=asked)
    plan = change_predicted(plan, slo_requests_per_s=Decimal("12.5"), **TIMES)
    line = "12.5 requests/s keep 2 s to the first token and 100 ms a token for 99 % of them"
    assert line in " ".join(plan_text(plan).split())
    assert summary(plan, None).startswith("12.5 requests/s within the SLO, simulated, in 3 stages")


def test_a_balance_is_shown_with_the_latencies_that_were_allowed() -> None:
    line = "allowed: 400 ms and 20 ms, 2 times those of a plan of 1 stage"
    assert line in plan_text(BALANCED)
    assert "decoded tokens/s sustained" in summary(BALANCED, None)


def test_a_plan_says_what_it_passes_if_its_speeds_are_off() -> None:
    certain = TWO
    for index in range(len(TWO.stages)):
        certain = change_stage(certain, index, speed_error=Decimal(0))
    flow = words.rate(TWO.predicted.tokens_per_s)
    line = f"{flow} to {flow} in 90 % of 100 worlds within that error, median {flow}"
    assert line in plan_text(certain)


def test_what_is_sustained_is_shown_as_rehearsed_or_as_simulated() -> None:
    rates = {"decode_tokens_per_s": Decimal("408.5"), "requests_per_s": Decimal("1.75")}
    formula = SustainedRate(**rates, policy="chunked", basis="by hand")
    plan = change_predicted(change_plan(TWO, objective="sustained"), sustained=formula)
    line = "408.5 decoded tokens/s sustained, 1.750 requests/s (rehearsed)"
    assert line in plan_text(plan)
    assert summary(plan, None).startswith(line)
    runs = SimulatedRate(
        decode_tokens_per_s=Decimal(390),
        requests_per_s=Decimal("1.6"),
        ttft_s=Decimal(1),
        tpot_s=Decimal("0.1"),
        seeds=(0,),
        duration_s=Decimal(660),
        warmup_s=Decimal(60),
        requests=1056,
    )
    tried = change_predicted(plan, sustained=formula.model_copy(update={"simulated": runs}))
    assert "390.0 decoded tokens/s sustained, 1.600 requests/s (simulated)" in plan_text(tried)
    # A mean request stays for 1 s and 20 tokens of 0.1 s.
    short = runs.model_copy(update={"duration_s": Decimal("62.9")})
    tried = change_predicted(plan, sustained=formula.model_copy(update={"simulated": short}))
    shown = " ".join(plan_text(tried).split())
    assert line.removesuffix(")") in shown
    assert "2.9 s of simulation are too short, requests take longer)" in shown


def test_a_plan_for_throughput_says_what_it_always_said() -> None:
    assert "USD" not in plan_text(TWO)
    assert summary(TWO, None).startswith("4,370.0 tokens/s in 3 stages, bound 250,000.0 tokens/s")


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("0", "0.00"), ("1234.5", "1,234.50"), ("0.0125", "0.0125"), ("3", "3.00")],
)
def test_amounts_are_shown_to_the_cent_or_finer(amount: str, shown: str) -> None:
    assert usd(Decimal(amount)) == shown


def test_a_plan_that_sends_less_than_its_stages_pass_has_no_used_up_stages() -> None:
    plan = two_hosts_plan()
    assert "they are used up:" in plan_text(plan)
    cut = plan.certificate.cut_tokens_per_s
    less = change_certificate(plan, flow_tokens_per_s=cut / 1000, gap=Decimal(1030))
    text = " ".join(plan_text(less).split())
    assert "used up" not in text
    assert "up to" not in text
    assert f"These would limit more, at {cut:,.1f} tokens/s:" in text
