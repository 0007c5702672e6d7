"""What is told of a prompt in vLLM's form: a list of maps, one a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hexplan_runtime.request import Logprobs, TokenLogprob
from hexplan_runtime.serve.problems import Json, JsonObject
from hexplan_runtime.token_text import TokenTexts

LEAST_LOGPROB: Final = -9999.0
"""Shown for tokens that cannot be, as JSON has no infinity."""


@dataclass(frozen=True, slots=True)
class PromptTold:
    """What is known of a prompt's tokens."""

    ids: tuple[int, ...]
    told: tuple[Logprobs, ...]
    """Of all of them but the first."""


def as_maps(prompt: PromptTold, number: int, texts: TokenTexts) -> list[Json]:
    """Return a map for each token, of itself and as many of the likeliest; null for the first."""
    maps: list[Json] = [None]
    for token, one in zip(prompt.ids[1:], prompt.told, strict=True):
        shown: JsonObject = {str(token): _entry(TokenLogprob(token, one.chosen), one.rank, texts)}
        for index, likely in enumerate(one.likeliest[:number]):
            if likely.token_id != token:
                shown[str(likely.token_id)] = _entry(likely, index + 1, texts)
        maps.append(shown)
    return maps


def finite(logprob: float) -> float:
    """Return a logarithm of probability as JSON can hold it."""
    return max(logprob, LEAST_LOGPROB)


def _entry(one: TokenLogprob, rank: int, texts: TokenTexts) -> JsonObject:
    text = texts.of(one.token_id).text
    return {"logprob": finite(one.logprob), "rank": rank, "decoded_token": text}
