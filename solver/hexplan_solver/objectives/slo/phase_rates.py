"""What chains of stages serve of one phase alone, by the times of their steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hexplan.constants import MAX_BATCH
from hexplan.workload import Slo, Workload
from hexplan_solver.served.request import MeanRequest, mean_request
from hexplan_solver.simulate import Policy, StageModel


@dataclass(frozen=True, slots=True)
class PhaseRates:
    """Mean requests per second of a chain."""

    prefill: float
    """If it only runs prompts; 0 if one by itself takes longer than is promised."""
    decode: float
    """If it only decodes, within the promised time."""


@dataclass(frozen=True, slots=True)
class PhaseClock:
    """Tells what chains serve of each phase."""

    workload: Workload
    policy: Policy
    slo: Slo

    def rates(self, stages: Sequence[StageModel]) -> PhaseRates:
        """Return what a chain serves of each phase."""
        request = mean_request(self.workload, self.policy)
        return PhaseRates(self._prefill(stages, request), self._decode(stages, request))

    def _prefill(self, stages: Sequence[StageModel], request: MeanRequest) -> float:
        tokens = max(1, min(round(request.prompt_tokens), self.policy.chunk_tokens or MAX_BATCH))
        reach = tokens * request.prompt_tokens / 2
        steps_s = [_held(stage) * stage.steps.layer_s(tokens, reach, 0, 0) for stage in stages]
        prompt_s = max(steps_s) * request.prompt_tokens / tokens
        alone_s = prompt_s + sum(steps_s) - max(steps_s)
        has_room = min(stage.kv_tokens for stage in stages) >= request.prompt_tokens
        return 1 / prompt_s if has_room and alone_s <= self.slo.ttft_s else 0.0

    def _decode(self, stages: Sequence[StageModel], request: MeanRequest) -> float:
        """Return the rate at the largest batch that keeps the promise and has KV room."""
        hops = len(stages)
        room = min(stage.kv_tokens for stage in stages) / (request.reserved_tokens * hops)
        most = int(min(self.policy.max_decode_tokens, MAX_BATCH, room))

        def around_s(batch: int) -> float:
            context = int(batch * request.context_tokens)
            layers_s = sum(_held(s) * s.steps.layer_s(0, 0.0, batch, context) for s in stages)
            return layers_s + stages[-1].steps.head_s(batch)

        low, high = 0, most + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if around_s(middle) <= self.slo.tpot_s else (low, middle)
        return low * hops / (around_s(low) * request.decode_tokens) if low else 0.0


def _held(stage: StageModel) -> int:
    return stage.layers[1] - stage.layers[0]
