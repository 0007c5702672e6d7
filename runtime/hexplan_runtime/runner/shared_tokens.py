"""Steps whose tokens the ranks of a stage share out, each or in groups.

Small steps of a stage that shifts run tensor parallel, on the same weights and the same KV cache
(docs/formulation.md 2; Shift Parallelism, arXiv 2509.16495).
"""

from __future__ import annotations

from torch import Tensor

from hexplan_runtime.model.portions import Portions
from hexplan_runtime.model.step import BlockStep
from hexplan_runtime.net.team import Team
from hexplan_runtime.runner.own_layers import OwnLayers
from hexplan_runtime.runner.step_runner import StepRunner


class SharedTokens:
    """Shares out the tokens of large steps, and gives small ones to a tensor-parallel runner.

    Every rank finds the same mode, as it depends on the batch and the plan alone.

    Parameters
    ----------
    tensor
        Runs the steps of at most `shift_tokens`, and the model's ends.
    shift_tokens
        Tokens of the largest step that is tensor parallel; 0 if none is.
    """

    def __init__(self, own: OwnLayers, tensor: StepRunner, team: Team, shift_tokens: int) -> None:
        self._own, self._tensor, self._exchange_group = own, tensor, team.exchange_group
        self._shift_tokens = shift_tokens

    def embed(self, ids_T: Tensor) -> Tensor:
        """Return the tokens' embeddings."""
        return self._tensor.embed(ids_T)

    def logits(self, x_RH: Tensor) -> Tensor | None:
        """Return the logits on the leader, and None on other ranks."""
        return self._tensor.logits(x_RH)

    def run(self, block: int, x_TH: Tensor, step: BlockStep) -> None:
        """Bring the residual stream through a block of layers, in place; all ranks get all of it.

        Ranks without tokens of their own run no matrices, but attend.
        """
        if len(x_TH) <= self._shift_tokens:
            self._tensor.run(block, x_TH, step)
            return
        portions = step.portions = Portions.of(
            len(x_TH), self._exchange_group.size, self._exchange_group.rank
        )
        x_tH = x_TH[portions.own]
        for layer in self._own.blocks[block]:
            layer(x_tH, step)
        parts = [x_TH[slice(*part)] for part in portions.ranges]
        self._exchange_group.exchange([x_tH] * len(parts), parts)
