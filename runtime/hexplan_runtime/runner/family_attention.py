"""The attention that layers of transformers call: it keeps keys and values in the stage's arenas.

Shapes: T tokens of a step, Q query heads, G KV heads, g query heads of a KV head, E head width, S
slots, K keys that a row sees. A step's tokens stand one after another in one sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Final, Protocol

import torch
from torch import Tensor

from hexplan.errors import HexplanError
from hexplan_runtime.model.kv_reads import Seen
from hexplan_runtime.model.step import BlockStep

ATTENTION: Final = "hexplan"
"""What transformers knows this attention as."""
STEP: Final = "hexplan_step"
"""The argument that layers hand through to it."""
_IGNORED: Final = ("dropout", "position_ids", "is_causal", "use_cache", STEP)
"""What it is told and does not need: a step's tokens never see later ones, and nothing drops."""


class AttentionModule(Protocol):
    """What is used of an attention module of transformers."""

    layer_idx: int


def attend(
    module: AttentionModule,
    q_1QTE: Tensor,
    k_1GTE: Tensor,
    v_1GTE: Tensor,
    mask: Tensor | None = None,
    **settings: object,
) -> tuple[Tensor, None]:
    """Store the step's keys and values, and return the attention's output: `[1, T, Q, E]`.

    Raises
    ------
    HexplanError
        The layer asks for something that this attention lacks.
    """
    step = settings[STEP]
    assert isinstance(step, BlockStep)
    assert mask is None  # transformers makes none for an attention that it does not know
    scaling, window, cap = (settings.pop(name, None) for name in _ASKED)
    unknown = [n for n, value in settings.items() if value is not None and n not in _IGNORED]
    if unknown:
        message = f"layer {module.layer_idx}: attention with {', '.join(sorted(unknown))}"
        raise HexplanError(message)
    k_TGE, v_TGE = (x[0].transpose(0, 1) for x in (k_1GTE, v_1GTE))
    keys_GSE, values_GSE = step.store(module.layer_idx, k_TGE, v_TGE)
    q_TQE = q_1QTE[0].transpose(0, 1)
    width = q_TQE.shape[-1]
    sees = window if isinstance(window, int) else None
    factor = float(scaling) if isinstance(scaling, float | int) else 1 / sqrt(width)
    if isinstance(cap, float | int):
        kernel = CappedReads(step.seen, sees, float(cap))
        out = kernel.attend(q_TQE * factor, keys_GSE, values_GSE)
    else:  # the kernel scales by the root of the width
        scaled = q_TQE * (factor * sqrt(width)) if factor != 1 / sqrt(width) else q_TQE
        out = step.reads(sees).attend(scaled.contiguous(), keys_GSE, values_GSE)
    return out.view(1, *q_TQE.shape), None


_ASKED: Final = ("scaling", "sliding_window", "softcap")


class CappedReads:
    """Attention whose scores are bent to stay below a cap, row by row: no kernel of torch does it.

    Parameters
    ----------
    window
        How many positions a token sees, itself included; None means all.
    cap
        What scores stay below, either way.
    """

    def __init__(self, seen: Sequence[Seen], window: int | None, cap: float) -> None:
        self._seen = seen
        self._window = window
        self._cap = cap

    def attend(self, q_TQE: Tensor, keys_GSE: Tensor, values_GSE: Tensor) -> Tensor:
        """Return the output of all tokens, whose queries are scaled: `[T, Q, E]`."""
        out_TQE = torch.empty_like(q_TQE)
        for row in self._seen:
            tokens = slice(row.token, row.token + row.tokens)
            out_TQE[tokens] = self._row(row, q_TQE[tokens], keys_GSE, values_GSE)
        return out_TQE

    def _row(self, row: Seen, q_TQE: Tensor, keys_GSE: Tensor, values_GSE: Tensor) -> Tensor:
        end = row.position + row.tokens
        first = 0 if self._window is None else max(0, row.position + 1 - self._window)
        slots_K = row.place.slots[first:end]
        k_GKE, v_GKE = (x.index_select(1, slots_K) for x in (keys_GSE, values_GSE))
        q_GgTE = q_TQE.view(len(q_TQE), len(k_GKE), -1, q_TQE.shape[-1]).permute(1, 2, 0, 3)
        scores_GgTK = torch.tanh(q_GgTE @ k_GKE[:, None].mT / self._cap) * self._cap
        query_T1 = torch.arange(row.position, end)[:, None]
        key_K = torch.arange(first, end)
        hidden_TK = key_K > query_T1
        if self._window is not None:
            hidden_TK |= key_K <= query_T1 - self._window
        scores_GgTK = scores_GgTK.masked_fill(hidden_TK, -torch.inf)
        shares = scores_GgTK.softmax(-1, dtype=torch.float32).to(q_TQE.dtype)
        return (shares @ v_GKE[:, None]).permute(2, 0, 1, 3).reshape(q_TQE.shape)
