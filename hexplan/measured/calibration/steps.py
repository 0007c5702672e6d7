"""Predict observed steps with the cost model, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hexplan.cost import StageShape
from hexplan.cost.corrections import phase_seconds
from hexplan.cost.stage_step_times import stage_step_times
from hexplan.cost.step_times import StepTimes
from hexplan.measured.observations import StepSeen
from hexplan.plan import Plan, Stage
from hexplan.spec import Spec


@dataclass(frozen=True, slots=True)
class TimedStep:
    """An observed step, with its predicted time and the parts of that without corrections."""

    observed_s: float
    """The time that it took."""
    predicted_s: float
    """The plan's prediction, which may be corrected already."""
    prefill_s: float
    """The predicted part of the prompts, without corrections."""
    decode_s: float
    """The predicted part of the decodes and the output head, without corrections."""
    num_layers: int
    """Layers that ran at least a part of it."""
    decode_tokens: int
    """Tokens that it decoded."""

    @property
    def is_timed(self) -> bool:
        """Whether its observed and predicted times are above 0."""
        return min(self.observed_s, self.predicted_s, self.prefill_s + self.decode_s) > 0

    @property
    def is_prefill(self) -> bool:
        """Whether prompts take most of its time."""
        return self.prefill_s > self.decode_s

    @property
    def parts(self) -> tuple[float, float, float]:
        """What the three factors of a correction multiply."""
        return self.prefill_s, self.decode_s, float(self.num_layers)


class StepReader:
    """Predicts the steps of one stage, with the plan's corrections and without any."""

    def __init__(self, plan: Plan, stage: Stage) -> None:
        planned = Spec(plan.cluster, plan.model, plan.workload)
        uncorrected = plan.cluster.model_copy(update={"corrections": ()})
        host = plan.cluster.host_by_name[stage.host]
        shape = StageShape.of(plan, stage)
        self.devices = shape.devices
        self.is_tensor = shape.sharing.is_tensor
        self.is_joined = bool(host.parts)
        """Whether the devices are in several machines."""
        self._planned = stage_step_times(planned, shape)
        self._uncorrected = stage_step_times(replace(planned, cluster=uncorrected), shape)
        self._end, self._has_head = stage.layers[1], stage.layers[1] == plan.model.layers

    def read(self, step: StepSeen) -> TimedStep:
        """Return an observed step with its predicted times."""
        prefill_s = decode_s = 0.0
        for num_layers, work in self._runs(step):
            parts = phase_seconds(self._uncorrected, *work)
            prefill_s += num_layers * parts[0]
            decode_s += num_layers * parts[1]
        return TimedStep(
            observed_s=step.seconds,
            predicted_s=self._seconds(self._planned, step),
            prefill_s=prefill_s,
            decode_s=decode_s + self._head_s(self._uncorrected, step),
            num_layers=self._end - min(load.enter_layer for load in step.loads),
            decode_tokens=sum(load.decode_tokens for load in step.loads),
        )

    def _seconds(self, steps: StepTimes, step: StepSeen) -> float:
        layers_s = sum(n * steps.layer_s(*work) for n, work in self._runs(step))
        return layers_s + self._head_s(steps, step)

    def _head_s(self, steps: StepTimes, step: StepSeen) -> float:
        return steps.head_s(step.sampled_rows) if self._has_head else 0.0

    def _runs(self, step: StepSeen) -> Iterator[tuple[int, tuple[int, float, int, float]]]:
        """Yield runs of layers with equal work: how many layers, and the work of each."""
        loads = sorted(step.loads, key=lambda load: load.enter_layer)
        ends = [load.enter_layer for load in loads[1:]] + [self._end]
        prompt, reach, decode, context = 0, 0.0, 0, 0.0
        for load, end in zip(loads, ends, strict=True):
            prompt, reach = prompt + load.prompt_tokens, reach + load.reach
            decode, context = decode + load.decode_tokens, context + load.context
            if end > load.enter_layer:
                yield end - load.enter_layer, (prompt, reach, decode, context)
