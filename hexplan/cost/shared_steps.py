"""Step times of a stage, however its devices share the work: those of the mode a step runs in."""

from __future__ import annotations

from hexplan.cluster import Cluster
from hexplan.cost.sequence import Group, SequenceRoofline
from hexplan.cost.sharing import TENSOR, Sharing
from hexplan.cost.step_times import StepTimes
from hexplan.cost.steps import stage_steps, stated_steps
from hexplan.host import Interconnect
from hexplan.model import Model
from hexplan.noun import Range
from hexplan.workload import Workload


def shared_steps(
    cluster: Cluster,
    spec: tuple[Model, Workload],
    layers: Range,
    group: Group,
    link: tuple[Interconnect | None, Sharing] = (None, TENSOR),
) -> StepTimes:
    """Return the step times of a stage; only tensor-parallel ones are corrected.

    Parameters
    ----------
    link
        The host's interconnect, and how the stage's devices share the work over it.
    """
    interconnect, sharing = link
    cluster = cluster.measured_over(interconnect)
    if sharing.is_tensor or interconnect is None:
        return stage_steps(cluster, spec, group, interconnect)
    roofline = SequenceRoofline(spec[0], group, interconnect, layers[1] - layers[0])
    sequence = stated_steps(cluster, spec, group, interconnect, roofline)
    if sharing.shift_tokens is None:
        return sequence
    tensor = stated_steps(cluster, spec, group, interconnect)
    return ShiftSteps(tensor, sequence, sharing.shift_tokens)


class ShiftSteps:
    """Times of steps that are tensor parallel up to some tokens, and sequence parallel above.

    All tokens of a step count, prompt tokens and decodes alike.
    """

    def __init__(self, tensor: StepTimes, sequence: StepTimes, shift_tokens: int) -> None:
        self._tensor, self._sequence, self._shift_tokens = tensor, sequence, shift_tokens

    @property
    def origin(self) -> str:
        """What the times of large steps rest on; those of small ones are no less sure."""
        return self._sequence.origin

    @property
    def measured_tokens(self) -> tuple[int, int] | None:
        """The most prompt and decode tokens in a step that were measured, if any were."""
        return self._sequence.measured_tokens

    def layer_s(self, prompt: int, reach: float, decode: int, context: float) -> float:
        """Return the seconds of one layer, in the mode of a step of this size."""
        is_small = prompt + decode <= self._shift_tokens
        steps = self._tensor if is_small else self._sequence
        return steps.layer_s(prompt, reach, decode, context)

    def head_s(self, rows: int) -> float:
        """Return the seconds of the output head, which is shared by vocabulary in both modes."""
        return self._tensor.head_s(rows)
