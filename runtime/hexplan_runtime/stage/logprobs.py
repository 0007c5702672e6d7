"""Logarithms of probability, of the model's own distribution: before temperature and penalties.

Shapes: R rows, A rows that ask for as many tokens, V vocabulary, K likeliest tokens, T tokens of a
step, P tokens of a prompt that are worked out at once, H channels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import torch
from torch import Tensor

from hexplan_runtime.batch import Row
from hexplan_runtime.model.step import Span
from hexplan_runtime.request import Logprobs, TokenLogprob

_AT_ONCE: Final = 64
"""Tokens of a prompt whose logits exist at the same time, as each has a vocabulary of them."""


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


def prompt_logprobs_of(
    head: Callable[[Tensor], Tensor | None], x_TH: Tensor, spans: Sequence[Span]
) -> list[tuple[Logprobs, ...]]:
    """Return what each row that has tokens is told of its prompt; nothing if none asks.

    It is told of the tokens that follow its own, the first of which may come with another row.

    Parameters
    ----------
    head
        Gives logits on the leader of a stage; every rank of it must call it.
    """
    if all(span.row.sampling.prompt_logprobs is None for span in spans):
        return []
    return [tuple(_of_prompt(head, x_TH, span)) for span in spans]


def _of_prompt(
    head: Callable[[Tensor], Tensor | None], x_TH: Tensor, span: Span
) -> Iterator[Logprobs]:
    row, history = span.row, span.row.sampling.history
    if row.sampling.prompt_logprobs is None:
        return
    assert history is not None
    following = history.ids[row.position + 1 : row.position + 1 + row.tokens]
    following = following[: max(0, history.num_prompt - row.position - 1)]
    for first in range(0, len(following), _AT_ONCE):
        ids = following[first : first + _AT_ONCE]
        begin = span.first + first
        logits_PV = head(x_TH[begin : begin + len(ids)])
        if logits_PV is not None:
            yield from _told_of_prompt(logits_PV, ids, row.sampling.prompt_logprobs)


def _told_of_prompt(logits_PV: Tensor, ids: Sequence[int], number: int) -> Iterator[Logprobs]:
    logprobs_PV = logits_PV.float().log_softmax(dim=-1)
    chosen_P1 = logprobs_PV.gather(1, torch.tensor(ids)[:, None])
    ranks_P = (logprobs_PV > chosen_P1).sum(dim=-1) + 1
    top_PK = logprobs_PV.topk(min(number, logprobs_PV.shape[-1]), dim=-1)
    tops = zip(top_PK.indices.tolist(), top_PK.values.tolist(), strict=True)
    chosen = zip(chosen_P1[:, 0].tolist(), ranks_P.tolist(), strict=True)
    for (logprob, rank), (ids_K, values_K) in zip(chosen, tops, strict=True):
        yield Logprobs(logprob, tuple(map(TokenLogprob, ids_K, values_K)), rank)
