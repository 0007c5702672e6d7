"""Layers of transformers, for families that the runtime has no layers of its own for.

The family's own code runs: its embedding, its layers and its head, with the part that a stage holds
in the place of the whole. So whatever a family does between them is done, too. Two hooks put in
what comes from elsewhere: the residual stream before the first layer, and before the last norm.

Shapes: T tokens, R rows that sample, H hidden width, V vocabulary rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import torch
from torch import Tensor, nn

from hexplan.errors import HexplanError
from hexplan.field_types import Range
from hexplan.plan import Stage as PlannedStage
from hexplan_runtime.model.architecture import read_config
from hexplan_runtime.model.fixed_rope import CHANGING_ROPE, fixed_rope
from hexplan_runtime.model.linear import Rank
from hexplan_runtime.model.step import BlockStep
from hexplan_runtime.runner.family_attention import ATTENTION, STEP, attend
from hexplan_runtime.runner.family_weights import Part, held_bytes, load_part

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_NORMS: Final = ("norm", "final_layer_norm")
"""What families call the last norm."""
_Hooked: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]


class FamilyLayers:
    """Runs a stage of one device through the layers of transformers."""

    def __init__(self, rank: Rank, stage: PlannedStage, blocks: Sequence[Range]) -> None:
        first, end = stage.layers
        is_last = end == rank.model.layers
        part = Part(stage.layers, first == 0, is_last, rank.model.tied_embeddings)
        self._whole = _empty_model(rank)
        load_part(self._whole, part, rank.weights)
        rank.weights.weights_bytes += held_bytes(self._whole, part)
        base: Any = self._whole.base_model
        self._base = base
        self._blocks = tuple(blocks)
        self._layers = base.layers
        self._config = base.config
        _fix_frequencies(self._base, rank)
        self._norm_name = next(name for name in _NORMS if hasattr(self._base, name))
        self._norm: nn.Module = getattr(self._base, self._norm_name)
        self._incoming_1TH: Tensor | None = None
        for block in blocks:
            self._layers[block[0]].register_forward_pre_hook(self._put_in, with_kwargs=True)
        self._norm.register_forward_pre_hook(self._put_in, with_kwargs=True)

    def embed(self, ids_T: Tensor) -> Tensor:
        """Return what enters the first layer."""
        self._hold((0, 0))
        embedded: Tensor = self._base(input_ids=ids_T[None], use_cache=False).last_hidden_state
        return embedded[0]

    def run(self, block: int, x_TH: Tensor, step: BlockStep) -> None:
        """Bring the residual stream through a block of layers, in place."""
        self._hold(self._blocks[block])
        self._incoming_1TH = x_TH[None]
        told = {STEP: step, "position_ids": step.positions_T[None], "use_cache": False}
        x_TH.copy_(self._base(inputs_embeds=x_TH[None], **told).last_hidden_state[0])

    def logits(self, x_RH: Tensor) -> Tensor:
        """Return the logits after these rows: `[R, V]`."""
        self._hold((0, 0))
        setattr(self._base, self._norm_name, self._norm)
        self._incoming_1TH = x_RH[None]
        found: Tensor = self._whole(inputs_embeds=x_RH[None], use_cache=False).logits
        return found[0]

    def _hold(self, layers: Range) -> None:
        """Let the model consist of these layers, without its last norm."""
        first, end = layers
        self._base.layers = self._layers[first:end]
        held = copy(self._config)
        held.num_hidden_layers = end - first
        if getattr(self._config, "layer_types", None):
            held.layer_types = self._config.layer_types[first:end]
        self._base.config = held
        setattr(self._base, self._norm_name, nn.Identity())

    def _put_in(self, module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> _Hooked:
        """Give a module the stream that came in; only the first one that runs needs it."""
        incoming, self._incoming_1TH = self._incoming_1TH, None
        if incoming is None:
            return args, named
        if args:
            return (incoming, *args[1:]), named
        return args, {**named, "hidden_states": incoming}


def _empty_model(rank: Rank) -> PreTrainedModel:
    """Return the whole model, whose weights have no memory yet."""
    from transformers import AutoModelForCausalLM
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(ATTENTION, attend)
    config = read_config(rank.weights.folder)
    config.tie_word_embeddings = rank.model.tied_embeddings
    with torch.device("meta"):
        whole: PreTrainedModel = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
            config, dtype=rank.weights.dtype, attn_implementation=ATTENTION
        )
    if not whole._supports_attention_backend:
        message = f"{config.model_type}: its layers take no attention but their own"
        raise HexplanError(message)
    whole.train(mode=False)
    return whole


def _fix_frequencies(base: Any, rank: Rank) -> None:
    """Let rotary frequencies not change with the length of what runs together.

    transformers chooses those of some kinds by the longest sequence of a batch, so that a request's
    tokens would depend on its neighbours. Here the model's longest context decides for all.
    """
    module = getattr(base, "rotary_emb", None)
    if module is None or getattr(module, "rope_type", None) not in CHANGING_ROPE:
        return
    with torch.device(module.inv_freq.device):
        frequencies, scale = fixed_rope(base.config, rank.model.max_context)
    module.inv_freq, module.attention_scaling = frequencies, scale
    module.rope_type = "default"
