"""A model on one thread of this process, twice: as a stage of a plan, and by transformers.

The two take steps in turn, so that whatever else the machine does meets both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, DynamicCache

from hexplan.plan import Plan
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.model.architecture import read_architecture
from hexplan_runtime.model.linear import Rank
from hexplan_runtime.model.weights import WeightsReader
from hexplan_runtime.net.team import Team
from hexplan_runtime.net.wire import WireFormat
from hexplan_runtime.request import GREEDY
from hexplan_runtime.stage.sampling import sample
from hexplan_runtime.stage.stage import Stage, torch_dtype


@dataclass(slots=True)
class StepTimes:
    """Seconds of the fastest prompts and of the fastest decode, and the tokens that came out."""

    prefill_s: float = float("inf")
    decode_s: float = float("inf")
    token_ids: list[list[int]] = field(default_factory=list)
    """One list a step, of one id a request; those of the last round."""


class StageRunner:
    """Runs prompts and decodes greedily through the one stage of a plan."""

    def __init__(self, plan: Plan) -> None:
        assert len(plan.stages) == 1
        planned, folder = plan.stages[0], Path(str(plan.model.path))
        architecture = read_architecture(folder, plan.model)
        dtype = torch_dtype(plan.model)
        team = Team(WireFormat(1, plan.model.hidden, dtype))
        with WeightsReader(folder, dtype) as weights:
            rank = Rank(plan.model, architecture, planned.shards[0], team, weights)
            self._stage = Stage(plan, planned, rank)
        self._context, self._position = 0, 0

    def begin(self, prompts_RT: Tensor, new_tokens: int) -> Tensor:
        """Run prompts of equal length, and return the token after each: `[R, 1]`."""
        self._context = prompts_RT.shape[1] + new_tokens
        self._position = 0
        return self.step(prompts_RT)

    def step(self, ids_RT: Tensor) -> Tensor:
        """Run the next tokens of each request, and return the token after them: `[R, 1]`."""
        requests, tokens = ids_RT.shape
        rows = [
            Row(request, 0, self._position, tokens, self._context, GREEDY, samples=True)
            for request in range(requests)
        ]
        output = self._stage.run(Batch(tuple(rows), ids_RT.flatten()))
        assert output.logits is not None
        self._position += tokens
        return sample(output.logits, rows)[:, None]

    def end(self, requests: int) -> None:
        """Free what the requests hold."""
        rows = [Row(request, 0, 0, 0, 0, GREEDY, closes=True) for request in range(requests)]
        self._stage.run(Batch(tuple(rows)))


class TransformersRunner:
    """The same by transformers' own forward, without what `generate` does around it."""

    def __init__(self, plan: Plan) -> None:
        self._model = AutoModelForCausalLM.from_pretrained(
            plan.model.path, dtype=torch_dtype(plan.model), local_files_only=True
        ).eval()
        self._cache = DynamicCache()

    def begin(self, prompts_RT: Tensor, new_tokens: int) -> Tensor:
        """Run prompts of equal length, and return the token after each: `[R, 1]`."""
        self._cache = DynamicCache()
        return self.step(prompts_RT)

    @torch.inference_mode()
    def step(self, ids_RT: Tensor) -> Tensor:
        """Run the next tokens of each request, and return the token after them: `[R, 1]`."""
        found = self._model(ids_RT, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        next_ids: Tensor = found.logits[:, -1].argmax(dim=-1, keepdim=True)
        return next_ids

    def end(self, requests: int) -> None:
        """Free what the requests hold."""
        self._cache = DynamicCache()


Runner = StageRunner | TransformersRunner


def compare(
    runners: tuple[Runner, ...], prompts_RT: Tensor, steps: int, rounds: int
) -> list[StepTimes]:
    """Return the times of each runner: all run the same prompts, step by step in turn."""
    times = [StepTimes() for _ in runners]
    for _ in range(rounds + 1):
        ids = []
        for runner, best in zip(runners, times, strict=True):
            found, seconds = _timed(lambda r=runner: r.begin(prompts_RT, steps + 1))
            best.prefill_s = min(best.prefill_s, seconds)
            best.token_ids = [found.flatten().tolist()]
            ids.append(found)
        for _ in range(steps):
            for index, (runner, best) in enumerate(zip(runners, times, strict=True)):
                ids[index], seconds = _timed(lambda r=runner, i=ids[index]: r.step(i))
                best.decode_s = min(best.decode_s, seconds)
                best.token_ids.append(ids[index].flatten().tolist())
        for runner in runners:
            runner.end(len(prompts_RT))
    return times


def _timed(call: Callable[[], Tensor]) -> tuple[Tensor, float]:
    start = time.thread_time()
    found = call()
    return found, time.thread_time() - start
