"""Steering: logits are changed by what a request has asked for and drawn before.

Biases come first, then penalties, then the grammar, as in vLLM. What is told of a token's
probability is of the model's own logits.

Shapes: R rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hexplan_runtime.batch import Row
from hexplan_runtime.request import NO_PENALTIES
from hexplan_runtime.sampling.grammars import Grammars, allowed_tokens
from hexplan_runtime.sampling.penalties import Penalized, TokenCounts, add_biases, penalize

if TYPE_CHECKING:
    from llguidance import LLMatcher


class Steering:
    """Keeps what the requests of a last stage have drawn, as far as their next tokens need it.

    A request begins with its history, so that one that starts over draws the same tokens.
    """

    def __init__(self, grammars: Grammars) -> None:
        self._grammars = grammars
        self._counts: dict[int, TokenCounts] = {}
        self._matchers: dict[int, LLMatcher] = {}

    def steered(self, logits_RV: Tensor, rows: Sequence[Row]) -> Tensor:
        """Return the logits from which the rows pick their tokens."""
        if not any(row.sampling.is_steered for row in rows):
            return logits_RV
        logits_RV = logits_RV.float() if logits_RV.dtype != torch.float32 else logits_RV.clone()
        biases = [(index, one) for index, row in enumerate(rows) for one in row.sampling.biases]
        if biases:
            add_biases(logits_RV, biases)
        penalized = [
            Penalized(index, row.sampling.penalties, self._counts_of(row))
            for index, row in enumerate(rows)
            if row.sampling.penalties != NO_PENALTIES
        ]
        if penalized:
            penalize(logits_RV, penalized)
        bound = [index for index, row in enumerate(rows) if row.sampling.grammar]
        if bound:
            matchers = [self._matcher_of(rows[index]) for index in bound]
            bars_GV = ~allowed_tokens(matchers, logits_RV.shape[-1])
            logits_RV[bound] = logits_RV[bound].masked_fill_(bars_GV, -torch.inf)
        return logits_RV

    def note(self, rows: Sequence[Row], ids_R: Tensor) -> None:
        """Note the tokens that the rows have picked from what `steered` gave."""
        if not any(row.sampling.is_steered for row in rows):
            return
        for row, token in zip(rows, ids_R.tolist(), strict=True):
            if row.request in self._counts:
                self._counts[row.request].add(token)
            if row.request in self._matchers:
                self._matchers[row.request].consume_token(token)

    def forget(self, request: int) -> None:
        """Drop what is known of a request that is over."""
        self._counts.pop(request, None)
        self._matchers.pop(request, None)

    def _counts_of(self, row: Row) -> TokenCounts:
        if row.request not in self._counts:
            assert row.sampling.history is not None
            self._counts[row.request] = TokenCounts(row.sampling.history)
        return self._counts[row.request]

    def _matcher_of(self, row: Row) -> LLMatcher:
        if row.request not in self._matchers:
            history = row.sampling.history
            assert history is not None
            drawn = history.ids[history.num_prompt :]
            self._matchers[row.request] = self._grammars.matcher(row.sampling.grammar, drawn)
        return self._matchers[row.request]
