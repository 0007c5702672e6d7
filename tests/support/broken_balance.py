"""Plans that contradict the latencies that their objective allows."""

from __future__ import annotations

from decimal import Decimal

from support.broken_sustained import RATE
from support.changes import broken, change_plan, change_predicted
from support.plans import two_hosts_plan

from hexplan.constants import BALANCED_BASIS
from hexplan.plan import Plan
from hexplan.predicted import RateRun
from hexplan.workload import Balance, HeldBack

BALANCE = Balance(
    factor=Decimal(2),
    ttft_s=Decimal("0.4"),
    tpot_s=Decimal("0.02"),
    hops=Decimal(1),
    judged_by="simulation",
)
RUN = RateRun(
    policy="chunked",
    requests_per_s=Decimal("0.5"),
    seeds=(0,),
    duration_s=Decimal(100),
    warmup_s=Decimal(10),
    requests=50,
)
BALANCED = change_predicted(
    change_plan(two_hosts_plan(), objective="balanced"),
    sustained=RATE,
    balance=BALANCE,
    ttft_s=Decimal("0.2"),
    tpot_s=Decimal("0.02"),
    latency_basis=BALANCED_BASIS.format(judged_by="simulation"),
    run=RUN,
)


def changed(**update: object) -> Plan:
    """Return the plan with other latencies allowed."""
    return change_predicted(BALANCED, balance=BALANCE.model_copy(update=update))


def held(*routes: int, part: str = "0.5") -> Plan:
    """Return the plan with routes that it says to hold back."""
    return changed(held_back=HeldBack(part=Decimal(part), routes=routes))


BROKEN_BALANCE = (
    broken("a route held back in a plan of the largest flow", held(0), "HEX706"),
    broken("a route held back twice", held(0, 0), "HEX706", "HEX730"),
    broken("a route held back that no plan has", held(9), "HEX730"),
    broken("all routes held back", held(0, 1), "HEX706", "HEX730"),
    broken("a balance of other latencies", changed(tpot_s=Decimal("0.019")), "HEX730"),
    broken("a balance by another factor", changed(factor=Decimal(3)), "HEX730"),
    broken("no balance", change_predicted(BALANCED, balance=None), "HEX720", "HEX730"),
    broken("no time to the first token", change_predicted(BALANCED, ttft_s=None), "HEX730"),
    broken(
        "a simulation that nobody ran",
        change_predicted(BALANCED, sustained=RATE.model_copy(update={"simulated": None})),
        "HEX730",
    ),
    broken("no sustained rate", change_predicted(BALANCED, sustained=None), "HEX730"),
    broken(
        "a balance under another objective", change_plan(BALANCED, objective="throughput"), "HEX730"
    ),
    broken("a time by nothing", change_predicted(BALANCED, latency_basis="by hand"), "HEX720"),
)
