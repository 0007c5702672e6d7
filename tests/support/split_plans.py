"""A hand-made plan whose stages serve one phase each, and what is wrong with others like it."""

from __future__ import annotations

from decimal import Decimal

from support.changes import broken, change_plan, change_predicted, change_stage
from support.plans import profiled_plan, resealed

from hexplan.plan import Handover, Hop, KvMove, Phase, Plan
from hexplan.predicted import RateRun
from hexplan.workload import Slo

RATE = Decimal("0.2")
PHASES: tuple[Phase, ...] = ("prefill", "decode", "prefill", "decode")
MODEL = profiled_plan().model
PROMPT = profiled_plan().workload.prompt_tokens.mean
LAYER_BYTES = 2 * MODEL.kv_heads * MODEL.head_dim * MODEL.kv_bytes * PROMPT
"""What one layer's KV of a mean prompt takes."""


def _hops(*pairs: tuple[str, int]) -> tuple[Hop, ...]:
    return tuple(Hop(stage=stage, enter_layer=layer) for stage, layer in pairs)


def _move(source: str, target: str, layers: tuple[int, int], capacity: str) -> KvMove:
    num_bytes = (layers[1] - layers[0]) * LAYER_BYTES
    return KvMove(
        source=source,
        target=target,
        layers=layers,
        bytes_per_request=num_bytes,
        capacity_requests_per_s=Decimal(capacity),
    )


HANDOVER = Handover(
    prefill=_hops(("s0", 0), ("s2", 2)),
    decode=_hops(("s1", 0), ("s3", 4)),
    weight=Decimal(1),
    kv_moves=(
        _move("s0", "s1", (0, 2), "65.104166"),
        _move("s2", "s1", (2, 4), "65.104166"),
        _move("s2", "s3", (4, 6), "65.104166"),
    ),
)
"""s0 `[0, 2)` and s2 `[2, 6)` prefill, s1 `[0, 4)` and s3 `[4, 6)` decode."""


def split_plan() -> Plan:
    """Return the plan of four measured stages, divided, with figures that are possible."""
    whole = profiled_plan()
    slo = Slo(ttft_s=Decimal(100), tpot_s=Decimal(10), attainment=Decimal("0.9"))
    workload = whole.workload.model_copy(update={"slo": slo})
    plan = change_plan(whole, objective="slo", workload=workload, handovers=(HANDOVER,))
    for index, phase in enumerate(PHASES):
        plan = change_stage(plan, index, phase=phase)
    run = RateRun(
        policy="chunked",
        requests_per_s=RATE,
        seeds=(0,),
        duration_s=Decimal(1500),
        warmup_s=Decimal(500),
        requests=290,
        attainment=Decimal("0.95"),
    )
    return change_predicted(
        plan,
        slo_requests_per_s=RATE,
        ttft_s=Decimal(50),
        tpot_s=Decimal(5),
        latency_basis="simulation of 290 requests at the SLO's rate",
        run=run,
        sustained=None,
    )


def with_handover(plan: Plan, **update: object) -> Plan:
    """Return the plan with another handover."""
    return change_plan(plan, handovers=(HANDOVER.model_copy(update=update),))


def with_move(plan: Plan, **update: object) -> Plan:
    """Return the plan with another first move of KV."""
    first, *rest = HANDOVER.kv_moves
    return with_handover(plan, kv_moves=(first.model_copy(update=update), *rest))


SPLIT = split_plan()


def at_rate(rate: str) -> Plan:
    """Return the plan with a larger promised rate."""
    run = SPLIT.predicted.run
    assert run is not None
    faster = run.model_copy(update={"requests_per_s": Decimal(rate)})
    return change_predicted(SPLIT, slo_requests_per_s=Decimal(rate), run=faster)


HALF = HANDOVER.model_copy(update={"weight": Decimal("0.5")})
TOGETHER = SPLIT.cluster.limits.model_copy(update={"phases": "together"})

BROKEN_SPLITS = (
    broken(
        "a stage says that it serves both, but only decodes",
        change_stage(SPLIT, 1, phase="both"),
        "HEX608",
    ),
    broken(
        "stages have phases, but nothing is handed over",
        change_plan(SPLIT, handovers=()),
        "HEX608",
    ),
    broken(
        "the cluster wants both phases together",
        resealed(SPLIT, limits=TOGETHER),
        "HEX608",
    ),
    broken(
        "the prefill route leaves out two layers, whose KV is listed all the same",
        with_handover(SPLIT, prefill=_hops(("s2", 2))),
        "HEX608",
        "HEX609",
    ),
    broken(
        "the decode route ends before the last layer",
        with_handover(SPLIT, decode=_hops(("s1", 0))),
        "HEX608",
        "HEX609",
    ),
    broken(
        "a hop enters elsewhere than where the last one ended",
        with_handover(SPLIT, decode=_hops(("s1", 0), ("s3", 5))),
        "HEX609",
    ),
    broken("half of the requests take no way", with_handover(SPLIT, weight=HALF.weight), "HEX610"),
    broken("the same pair is listed twice", change_plan(SPLIT, handovers=(HALF, HALF)), "HEX610"),
    broken(
        "a handover that no request takes",
        change_plan(
            SPLIT, handovers=(HANDOVER, HANDOVER.model_copy(update={"weight": Decimal(0)}))
        ),
        "HEX610",
    ),
    broken("the KV of two layers is forgotten", with_handover(SPLIT, kv_moves=()), "HEX611"),
    broken("KV of other layers moves", with_move(SPLIT, layers=(0, 1)), "HEX611"),
    broken("KV moves to another stage", with_move(SPLIT, target="s3"), "HEX611"),
    broken("KV moves to a stage that no plan has", with_move(SPLIT, target="s9"), "HEX611"),
    broken("KV takes fewer bytes", with_move(SPLIT, bytes_per_request=1), "HEX611"),
    broken(
        "a link carries more KV than it can",
        with_move(SPLIT, capacity_requests_per_s=Decimal(70)),
        "HEX611",
    ),
    broken(
        "another objective, whose figures know no phases",
        change_predicted(
            change_plan(SPLIT, objective="throughput"),
            slo_requests_per_s=None,
            ttft_s=None,
            tpot_s=None,
            latency_basis=None,
            run=None,
        ),
        "HEX613",
    ),
    broken("a link would carry more than it can at the promised rate", at_rate("1.4"), "HEX612"),
    broken(
        "a handover names a stage that is not there",
        with_handover(SPLIT, decode=_hops(("s1", 0), ("s9", 4))),
        "HEX107",
    ),
    broken(
        "a weight with too many digits",
        with_handover(SPLIT, weight=Decimal("0.9999999999")),
        "HEX404",
        "HEX610",
    ),
)
