"""Pipelines for the simulator, built by hand."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate import EdgeModel, PipelineModel, Policy, RouteModel, StageModel
from hexplan_solver.simulate.pipeline_model import kv_moves

FREE = 1 << 50
FAST = 1e15
ONE_BY_ONE = Policy(name="one by one", chunk_tokens=None, obeys_profile=True)


@dataclass
class SteadySteps:
    """Every prompt takes `prompt_s` a layer, and every step of decodes `decode_s`."""

    prompt_s: float
    decode_s: float = 0.0
    origin: str = "made up"
    measured_tokens: tuple[int, int] | None = None

    def layer_s(self, prompt: int, reach: float, decode: int, context: int) -> float:
        return self.prompt_s * bool(prompt) + self.decode_s * bool(decode)

    def step_s(self, rows: int) -> float:
        """Return nothing."""
        return 0.0

    def head_s(self, rows: int) -> float:
        return 0.0


@dataclass
class TokenSteps(SteadySteps):
    """Every prompt token takes `prompt_s` a layer, every decoded one `decode_s`."""

    def layer_s(self, prompt: int, reach: float, decode: int, context: int) -> float:
        return self.prompt_s * prompt + self.decode_s * decode


@dataclass
class RandomSteps(SteadySteps):
    """Steps of exponential length, of mean `prompt_s`."""

    rng: random.Random = field(default_factory=lambda: random.Random(1))

    def layer_s(self, prompt: int, reach: float, decode: int, context: int) -> float:
        return self.rng.expovariate(1 / self.prompt_s)


def chain(*steps: SteadySteps, kv_tokens: int = FREE, max_prompts: int = 1) -> PipelineModel:
    """A chain of stages of one layer each, with links that take no time."""
    stages = tuple(
        StageModel(f"s{j}", (j, j + 1), step, kv_tokens, max_prompts=max_prompts)
        for j, step in enumerate(steps)
    )
    ends = [OUTSIDE, *range(len(steps)), OUTSIDE]
    edges = tuple(
        EdgeModel(a, b, FAST, 0.0, 1, 1.0) for a, b in zip(ends[:-1], ends[1:], strict=True)
    )
    return PipelineModel(
        len(steps), stages, edges, (RouteModel(tuple(range(len(steps))), 1),), (), 1
    )


def joined(
    stages: Sequence[StageModel],
    routes: Sequence[RouteModel],
    edge: Callable[[int, int], EdgeModel],
    kv_edge: Callable[[int, int], EdgeModel],
    shared_bytes_per_s: tuple[float, ...] = (),
) -> PipelineModel:
    """Stages with the edges that routes use, and those over which their KV has to move."""
    chains = [route.stages for route in routes]
    chains += [route.decode_stages for route in routes if route.decode_stages]
    ways = {
        step for chain in chains for step in zip((OUTSIDE, *chain), (*chain, OUTSIDE), strict=True)
    }
    layers = [stage.layers for stage in stages]
    moves = {
        (move.source, move.target)
        for route in routes
        if route.decode_stages
        for move in kv_moves(layers, route.stages, route.decode_stages)
    }
    return PipelineModel(
        max(end for _, end in layers),
        tuple(stages),
        tuple(edge(*ends) for ends in sorted(ways)),
        tuple(routes),
        shared_bytes_per_s,
        1,
        tuple(kv_edge(*ends) for ends in sorted(moves)),
    )
