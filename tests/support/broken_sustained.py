"""Plans whose sustained rate no run can have given."""

from __future__ import annotations

from decimal import Decimal

from support.changes import broken, change_plan, change_predicted
from support.plans import two_hosts_plan

from hexplan.plan import Plan
from hexplan.predicted import SimulatedRate, SustainedRate

SIMULATED = SimulatedRate(
    decode_tokens_per_s=Decimal(900),
    requests_per_s=Decimal(30),
    ttft_s=Decimal("0.2"),
    tpot_s=Decimal("0.01"),
    seeds=(0, 1, 2),
    duration_s=Decimal(60),
    warmup_s=Decimal(20),
    requests=5400,
)
RATE = SustainedRate(
    decode_tokens_per_s=Decimal(31 * 19),
    requests_per_s=Decimal(31),
    policy="chunked",
    basis="rehearsal of steps and messages on counts of requests, not calibrated",
    simulated=SIMULATED,
)
TWO = two_hosts_plan()
SUSTAINED = change_plan(change_predicted(TWO, sustained=RATE), objective="sustained")


def simulated(**update: object) -> Plan:
    """Return the plan with a changed simulation."""
    changed = RATE.model_copy(update={"simulated": SIMULATED.model_copy(update=update)})
    return change_predicted(SUSTAINED, sustained=changed)


BROKEN_SUSTAINED = (
    broken(
        "a sustained rate of nothing",
        change_predicted(
            SUSTAINED, sustained=RATE.model_copy(update={"decode_tokens_per_s": Decimal(0)})
        ),
        "HEX714",
    ),
    broken(
        "more tokens than the requests ask for",
        simulated(requests_per_s=Decimal("0.001")),
        "HEX714",
    ),
    broken("a seed that counts twice", simulated(seeds=(0, 1, 1)), "HEX714"),
    broken("a simulation without a run", simulated(seeds=()), "HEX714"),
    broken("a warm-up that leaves nothing", simulated(warmup_s=Decimal(60)), "HEX714"),
    broken(
        "a sustained plan without a simulated rate",
        change_predicted(SUSTAINED, sustained=RATE.model_copy(update={"simulated": None})),
        "HEX714",
    ),
    broken(
        "a sustained plan without a sustained rate",
        change_predicted(SUSTAINED, sustained=None),
        "HEX714",
    ),
)
