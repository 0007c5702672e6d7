"""Constants of queueing that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.step_limits import QueueName


@dataclass(frozen=True, slots=True)
class QueueParams:
    """Quanta and bounds; the simulator and the runtime use the same."""

    starve_s: float = 30.0
    """For how long a request may wait since it was last served; then it goes first (`mlfq`,
    `srpt`)."""
    first_quantum_decodes: int = 16
    """`mlfq`: decodes in the quantum of the first level: a page of KV (FastServe: one, which moves
    KV for less)."""
    quantum_growth: float = 2.0
    """`mlfq`: how many times the quantum of a level the next one's is (FastServe)."""
    starved_decodes: int = 16
    """`srpt`: decodes for which a request that has starved goes first: a page of its KV."""
    prompt_weight: float = 1.0
    output_weight: float = 2.0
    """`fair`: what a token of a prompt and a token of output count (Sheng et al., "Fairness in
    serving large language models", OSDI 2024)."""
    spare_share: float = 1 / 16
    """Share of each KV cache that requests which do not run leave free, so that one that arrives
    finds room at once (FastServe's proactive swapping)."""
    host_share: float = 2.0
    """Host memory for requests that made way, as a multiple of the KV cache of each stage."""


QUEUE_PARAMS = QueueParams()


@dataclass(frozen=True, slots=True)
class Queueing:
    """A queue, and its quanta and bounds."""

    name: QueueName
    params: QueueParams = QUEUE_PARAMS
