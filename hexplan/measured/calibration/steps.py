"""What the cost model says of an observed step, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hexplan.cost import ShardSizes
from hexplan.cost.corrections import phase_seconds
from hexplan.cost.shared_steps import shared_steps
from hexplan.cost.sharing import Sharing
from hexplan.cost.step_times import StepTimes
from hexplan.device import DeviceType
from hexplan.measured.observations import StepSeen
from hexplan.plan import Plan, Stage


@dataclass(frozen=True, slots=True)
class Step:
    """An observed step, and what it is made of without any correction."""

    observed_s: float
    predicted_s: float
    """As the plan has it, which may be corrected already."""
    prefill_s: float
    decode_s: float
    num_layers: int
    """Layers that ran something of it."""
    decode_tokens: int

    @property
    def is_timed(self) -> bool:
        """Whether it took time, and has predictions to compare that with."""
        return min(self.observed_s, self.predicted_s, self.prefill_s + self.decode_s) > 0

    @property
    def is_prefill(self) -> bool:
        """Whether prompts take most of it."""
        return self.prefill_s > self.decode_s

    @property
    def parts(self) -> tuple[float, float, float]:
        """What the factors of a correction are multiplied by."""
        return self.prefill_s, self.decode_s, float(self.num_layers)


class StepReader:
    """Knows the step times of one stage, with the plan's corrections and without."""

    def __init__(self, plan: Plan, stage: Stage) -> None:
        bare = plan.cluster.model_copy(update={"corrections": ()})
        host = plan.cluster.host_by_name[stage.host]
        types = plan.cluster.device_type_by_name
        self.devices: tuple[DeviceType, ...] = tuple(
            types[host.devices[shard.device]] for shard in stage.shards
        )
        sizes = map(ShardSizes.of, stage.shards)
        group = list(zip(self.devices, sizes, strict=True))
        spec = plan.model, plan.workload
        sharing = Sharing(stage.parallel, stage.shift_tokens)
        self.is_tensor = sharing.is_tensor
        link = host.interconnect, sharing
        self.is_joined = bool(host.parts)
        """Whether the devices are in several machines."""
        self._planned = shared_steps(plan.cluster, spec, stage.layers, group, link)
        self._bare = shared_steps(bare, spec, stage.layers, group, link)
        self._end, self._has_head = stage.layers[1], stage.layers[1] == plan.model.layers

    def read(self, step: StepSeen) -> Step:
        """Return a step with its predictions."""
        prefill_s = decode_s = 0.0
        for num_layers, work in self._runs(step):
            parts = phase_seconds(self._bare, *work)
            prefill_s += num_layers * parts[0]
            decode_s += num_layers * parts[1]
        return Step(
            observed_s=step.seconds,
            predicted_s=self._seconds(self._planned, step),
            prefill_s=prefill_s,
            decode_s=decode_s + self._head_s(self._bare, step),
            num_layers=self._end - min(load.enter_layer for load in step.loads),
            decode_tokens=sum(load.decode_tokens for load in step.loads),
        )

    def _seconds(self, steps: StepTimes, step: StepSeen) -> float:
        layers_s = sum(n * steps.layer_s(*work) for n, work in self._runs(step))
        return layers_s + self._head_s(steps, step)

    def _head_s(self, steps: StepTimes, step: StepSeen) -> float:
        return steps.head_s(step.sampled_rows) if self._has_head else 0.0

    def _runs(self, step: StepSeen) -> Iterator[tuple[int, tuple[int, float, int, float]]]:
        """Yield numbers of layers, and what each of these layers runs: all that has entered."""
        loads = sorted(step.loads, key=lambda load: load.enter_layer)
        ends = [load.enter_layer for load in loads[1:]] + [self._end]
        prompt, reach, decode, context = 0, 0.0, 0, 0.0
        for load, end in zip(loads, ends, strict=True):
            prompt, reach = prompt + load.prompt_tokens, reach + load.reach
            decode, context = decode + load.decode_tokens, context + load.context
            if end > load.enter_layer:
                yield end - load.enter_layer, (prompt, reach, decode, context)
