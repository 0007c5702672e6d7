"""Grammars: which tokens may follow where a text must match something.

llguidance works out the tokens, from the bytes that each token of the vocabulary stands for.

Shapes: G rows with a grammar, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from hexplan_runtime.model.architecture import read_stop_ids
from hexplan_runtime.model.tokenizer_files import load_tokenizer

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

MOST_GRAMMARS: Final = 64
"""Grammars that are kept ready; others are prepared again."""
_BITS: Final = torch.arange(8, dtype=torch.uint8)


def read_vocabulary(folder: Path, num_tokens: int) -> LLTokenizer:
    """Return what grammars need to know of a model's tokens.

    Parameters
    ----------
    num_tokens
        How many logits the model has; those beyond the tokenizer's words are never allowed.

    Raises
    ------
    InputError
        The folder has no tokenizer that can be read.
    """
    # Late, because few launches need it.
    from llguidance import LLTokenizer

    stops = [token for token in read_stop_ids(folder) if 0 <= token < num_tokens]
    return LLTokenizer(_tokenizer_json(folder), n_vocab=num_tokens, eos_token=stops)


def _tokenizer_json(folder: Path) -> str:
    """Return tokenizer.json; transformers makes one of older files, which takes seconds."""
    path = folder / "tokenizer.json"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    return str(load_tokenizer(folder).backend_tokenizer.to_str())


class Grammars:
    """The grammars of one vocabulary, each prepared once.

    Parameters
    ----------
    vocabulary
        Reads the vocabulary, when the first grammar comes.
    """

    def __init__(self, vocabulary: Callable[[], LLTokenizer]) -> None:
        self._vocabulary = lru_cache(maxsize=1)(vocabulary)
        self._prepared = lru_cache(maxsize=MOST_GRAMMARS)(self._prepare)

    @property
    def vocabulary(self) -> LLTokenizer:
        """The vocabulary."""
        return self._vocabulary()

    def matcher(self, grammar: str, drawn: Sequence[int] = ()) -> LLMatcher:
        """Return what follows a text from after these tokens on."""
        matcher = self._prepared(grammar).deep_copy()
        matcher.consume_tokens(list(drawn))
        return matcher

    def _prepare(self, grammar: str) -> LLMatcher:
        from llguidance import LLMatcher

        return LLMatcher(self.vocabulary, grammar, log_level=0)


def allowed_tokens(matchers: Sequence[LLMatcher], vocab: int) -> Tensor:
    """Return which tokens may follow: `[G, V]` of booleans.

    A text that is over, or too intricate to be followed further, may only end.
    """
    masks = [
        torch.frombuffer(bytearray(one.compute_bitmask()), dtype=torch.uint8) for one in matchers
    ]
    bits = (torch.stack(masks)[:, :, None] >> _BITS) & 1
    return bits.flatten(1)[:, :vocab].bool()
