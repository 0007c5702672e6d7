"""Tensor-parallel steps in two lanes, of which one computes while the sums of the other go on.

Interleaved parallelism (Liger, PPoPP 2024): the decisions are in `hexplan.schedule.interleaving`,
and the order of everything is fixed by the step and the plan alone. A lane runs to its next sums,
begins them, and gives way; the other one then does the same. So all ranks begin the same sums in
the same order.

Shapes: T tokens, H hidden width, R rows that sample.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from torch import Tensor

from hexplan.schedule.interleaving import lane_cut, pieces_of
from hexplan.techniques import Interleave
from hexplan_runtime.model.layers import DecoderLayer
from hexplan_runtime.model.step import BlockStep
from hexplan_runtime.net.lane_sums import LaneSums
from hexplan_runtime.runner.own_layers import OwnLayers
from hexplan_runtime.runner.step_runner import StepRunner


class InterleavedLayers:
    """Runs large steps in two lanes, and gives small ones to a runner of plain steps.

    Parameters
    ----------
    plain
        Runs small steps, and the model's ends.
    sums
        Sums of this rank's team that go on beside what it computes.
    """

    def __init__(
        self, own: OwnLayers, plain: StepRunner, sums: LaneSums, interleave: Interleave
    ) -> None:
        self._own, self._plain = own, plain
        self._sums, self._interleave = sums, interleave

    def embed(self, ids_T: Tensor) -> Tensor:
        """Return the tokens' embeddings."""
        return self._plain.embed(ids_T)

    def logits(self, x_RH: Tensor) -> Tensor | None:
        """Return the logits on the leader, and None on other ranks."""
        return self._plain.logits(x_RH)

    def run(self, block: int, x_TH: Tensor, step: BlockStep) -> None:
        """Bring the residual stream through a block of layers, in place."""
        cut = lane_cut([row.tokens for row in step.seen], self._interleave)
        if cut is None:
            self._plain.run(block, x_TH, step)
            return
        layers, (first, second) = self._own.blocks[block], step.cut(cut)
        take_turns((self._lane(layers, x_TH[:cut], first), self._lane(layers, x_TH[cut:], second)))

    def _lane(
        self, layers: Sequence[DecoderLayer], x_TH: Tensor, step: BlockStep
    ) -> Iterator[None]:
        """Bring a lane through layers, and give way wherever its sums are under way."""
        pieces = [slice(*piece) for piece in pieces_of(len(x_TH), self._interleave)]
        for layer in layers:
            for inner, projection in layer.halves(x_TH, step):
                pending = [self._sums.start(projection.part(inner[piece])) for piece in pieces]
                yield
                for piece, total in zip(pieces, pending, strict=True):
                    x_TH[piece] += total.result()


def take_turns(lanes: Sequence[Iterator[None]]) -> None:
    """Let each lane go on as far as it gives way, in turn, until all are through."""
    turns = deque(lanes)
    while turns:
        lane = turns.popleft()
        if next(lane, turns) is not turns:
            turns.append(lane)
