"""Logarithms of probability, of the model's own distribution: before temperature and penalties.

Shapes: R rows, A rows that ask for as many tokens, V vocabulary, K likeliest tokens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from torch import Tensor

from hexplan_runtime.batch import Row
from hexplan_runtime.request import Logprobs, TokenLogprob


def logprobs_of(
    logits_RV: Tensor, ids_R: Tensor, rows: Sequence[Row]
) -> tuple[Logprobs | None, ...]:
    """Return what the rows that ask for it are told of their tokens; nothing if none asks."""
    asking = defaultdict[int, list[int]](list)
    for index, row in enumerate(rows):
        if row.sampling.top_logprobs is not None:
            asking[row.sampling.top_logprobs].append(index)
    if not asking:
        return ()
    found: list[Logprobs | None] = [None] * len(rows)
    # By their number, as which of equally likely tokens come first may depend on it.
    for number, indices in asking.items():
        logprobs_AV = logits_RV[indices].float().log_softmax(dim=-1)
        chosen_A = logprobs_AV.gather(1, ids_R[indices][:, None])[:, 0].tolist()
        top_AK = logprobs_AV.topk(min(number, logprobs_AV.shape[-1]), dim=-1)
        tops = zip(top_AK.indices.tolist(), top_AK.values.tolist(), strict=True)
        for index, chosen, (ids_K, values_K) in zip(indices, chosen_A, tops, strict=True):
            likeliest = tuple(map(TokenLogprob, ids_K, values_K))
            found[index] = Logprobs(chosen, likeliest)
    return tuple(found)
