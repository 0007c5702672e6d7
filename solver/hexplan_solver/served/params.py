"""Constants of the served rate that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServedParams:
    """How the formula takes its means, and how step limits are chosen.

    The values were chosen by trial on the example specs, where nothing else is said.
    """

    high_water: float = 0.8
    """Requests in flight: share of the fullest layer's KV room up to which the simulator's feeder,
    `Offline`, admits."""
    strata: int = 400
    """Mean request: quantiles of the lengths over which means are taken."""
    sizes: int = 6
    """Mean request: prompts of different size that stand for all."""
    bisections: int = 12
    """Served rate: steps of the bisection, which leave an error of 1 in 4096."""
    load_rounds: int = 6
    """Latencies at a part of the served rate: steps towards their fixed point; after six, what is
    left of the first distance is 2 %."""
    rounds: int = 2
    """Load: rounds in which the prompt tokens of a step and its time settle."""
    congestion: float = 1.5
    """Load: power of the idle share by which waiting times are divided."""

    halvings: int = 2
    """Step limits: how often the tokens of a step are halved, at most, from what memory allows."""
    least_tokens: int = 64
    """Step limits: steps of fewer tokens are not halved."""
    near: int = 4
    """Step limits: decodes that are tried are the powers of two within this factor of the requests
    in flight a hop."""
    worth: float = 0.03
    """Step limits: gain for which smaller steps are taken. They make first tokens wait longer where
    all stages are busy."""
    worth_strain: float = 0.15
    """Step limits: gain for which prompts may have to wait for long."""
    strained: float = 0.8
    """Step limits: load of the busiest stage, and of the room for prompts beside decodes, above
    which prompts wait for long. In simulations the first token then came up to 60 times later."""


SERVED_PARAMS = ServedParams()
