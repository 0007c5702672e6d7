"""Numbers and words that the planner, the check, the simulator and the runtime have to agree on.

The check writes every formula again on purpose, so that one mistake cannot hide in both. The
figures in those formulas are conventions, not results, and stand here once.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Final

RATE_DIGITS: Final = 6
"""Rates are integer multiples of 1e-6 tokens/s, so that every sum of them is exact."""

MICRO: Final[int] = 10**RATE_DIGITS
"""Rates are counted in 1 / MICRO tokens/s."""

WEIGHT_DIGITS: Final = 9
"""Weights of edges and routes are integer multiples of 1e-9, so that they sum to exactly 1."""

FIGURE_DIGITS: Final = 6
"""Decimals of predicted times and simulated rates, which nothing has to sum exactly."""

TOKEN_ID_BYTES: Final = 4
"""Bytes of one token between the coordinator and a stage: a 32-bit token id."""

COMPRESSED_BLOCK: Final = 128
"""Numbers of a compressed activation that share a scale: a byte each, and 4 bytes for the scale."""

COMPRESSED_SCALE_BYTES: Final = 4

MAX_BATCH: Final = 256
"""The most requests that a stage decodes in one step; a last stage keeps room for their logits.

A usual default of serving engines (vLLM's `max_num_seqs`).
"""

LOGIT_BYTES: Final = 4
"""Bytes of one logit: logits are computed in 32 bits whatever the model's dtype."""

PROMPT_SHARE: Final = Fraction(1, 4)
"""The share of a step's tokens that decodes leave to prompts.

Without it, prompts would never run at a stage that decodes as much as fits in a step. A convention
of hexplan's scheduler; the share was not fitted.
"""

PAGE_TOKENS: Final = 8
"""Tokens of a page: what is fetched of keys and values in host memory, and what is not, at once."""
LARGEST_STEP_TOKENS: Final = 1 << 20
"""The largest step for which sequence and tensor parallelism are compared.

No stage runs one as large: `limits.chunk_tokens` is far smaller.
"""

MAX_PARTITIONS: Final = 400
"""A host with more partitions is split type by type, into equal groups and one rest.

So many are still quick to list. Eight devices of one type have 22, four of each of two types 109.
It was chosen by trial on the example specs.
"""

PATTERN_STEPS: Final = 2000
"""Steps of the target up to which the pattern bound rounds speeds.

A finer grid gives a lower bound, for more time. It was chosen by trial on the example specs.
"""

ZONE_STEPS: Final = 1000
"""The same for the zone bound, whose patterns take longer to find."""

HALVED_BOX: Final = -1
"""In a zone proof: the box is halved."""

EMPTY_BOX: Final = -2
"""In a zone proof: no flows fit into the box."""

ZONE_BOXES: Final = 400
"""Boxes of the largest zone proof: more would keep the check busy for minutes."""

PRICE_DIGITS: Final = 9
"""The prices of a pattern proof are multiples of 1e-9, so that a file carries them exactly."""

CROSSING_HOSTS: Final = 256
"""The crossing bound is left out for more hosts, as it looks at each pair of them."""

RING_SHARE: Final = Fraction(9, 10)
"""The share of each network card that the collectives of joined hosts may use.

Hops to other stages get the rest. A fixed share keeps the flow a plain max-flow and errs on the
safe side (docs/decisions/0007-joined-hosts.md); this one was not fitted.
"""

EXCHANGE_STARTS: Final = 2
"""Start-ups of an all-reduce that an all-to-all or an all-gather takes.

NCCL's take 10 to 14 us on A100, H100, H200 and B200, where all-reduces take 5 to 8 us
(benchmarks/wheel.py names the tables).
"""

STEP_OVERHEAD_S: Final = Decimal("0.0008")
"""What a step of a stage takes besides its kernels, unless the spec says otherwise.

Scheduling, launches and the kernels between the large ones. Fitted, with TOKEN_OVERHEAD_S, to the
seconds between two tokens of 842 kinds of requests on three serving engines
(benchmarks/prediction.py).
"""

TOKEN_OVERHEAD_S: Final = Decimal("0.000019")
"""What the last stage takes for each output token besides its head: to choose it and hand it out.

Fitted with STEP_OVERHEAD_S. A profile of vLLM's loop on a CPU agrees with both: 0.54 ms a step, and
13 us for each request in it (openfabric-systems/simllm#204).
"""

HOP_OVERHEAD_S: Final = Decimal("0.0002")
"""What a message between two stages takes besides its link, without profiles or a stated figure.

Assumed: two thread wake-ups and the launch of a send and a receive. It was not fitted; no public
measurement tells it apart from the link.
"""

SCALED_ERROR: Final = Decimal("0.25")
"""The least error of times that were scaled from another group's profile.

Assumed: between the error of a profile (0.1) and that of an uncalibrated datasheet (0.5).
"""

UNTRIED_ERROR: Final = Decimal("0.5")
"""The least error of datasheet times for experts or quantised weights.

The efficiencies were calibrated on dense, unquantised models only, so such times are no surer than
those of a device without calibration.
"""


SERVED_BASIS: Final = MappingProxyType(
    {
        "chunked": "mean-field formula, calibrated against the simulator",
        "whole": "requests in flight over the time for which whole prompts block others, not"
        " calibrated",
    }
)
"""What a served rate by the formula rests on, by the scheduler (docs/served_rate.md)."""

QUEUEING_BASIS: Final = "queueing model of formulation 9 over step times: "
"""What mean times at a rate rest on; the origins of the step times follow."""

BALANCED_BASIS: Final = "{judged_by} at 80 % of that rate"
"""What the latencies of a balanced plan rest on; the rate is the sustained one."""

PROMISE_BASIS: Final = "simulation of {requests} requests at the SLO's rate"
"""What the mean times at an SLO's rate rest on."""

RATE_BASIS: Final = "simulation of {requests} requests at the rate asked for"
"""What simulated mean times at the workload's rate rest on."""


NO_COST_PROOF: Final = "no price is below 0"
"""Why a bound of 0 on the cost holds."""

TRUSTED_COST: Final = "trusted, not computed again by the check: "
"""Begins the proof of a bound on the cost, which rests on a MILP solver."""


class CertificateStatus(StrEnum):
    """How far the search for a plan got; baselines state words of their own instead."""

    OPTIMAL = "optimal"
    """The flow reaches the proved bound."""
    OPTIMAL_IF_TRUSTED = "optimal if trusted"
    """The flow reaches the trusted bound, and not the proved one."""
    OPTIMAL_IN_COST = "optimal in cost"
    """The cost reaches the bound on the cost."""
    FEASIBLE = "feasible"
    """The search ended by itself, and the bound leaves a gap."""
    TIME_LIMIT = "time limit"
    """The time of the MILP over placements was up."""
    STEP_LIMIT = "step limit"
    """The MILP over placements had taken its number of steps."""
    UNKNOWN = "unknown"
    """The MILP's solver gave another reason for its end."""
    INTERRUPTED = "interrupted"
    """The user stopped the search."""
