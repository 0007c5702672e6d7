"""Penalties and biases of a body."""

from __future__ import annotations

from hexplan_runtime.request import Penalties, TokenBias
from hexplan_runtime.serve.bodies import Generating
from hexplan_runtime.serve.problems import ApiError

MOST_BIASES = 1024
"""Tokens that may have a bias in one request."""


def penalties_of(body: Generating) -> Penalties:
    """Return the penalties; null changes nothing.

    Raises
    ------
    InputError
        One is out of its range.
    """
    repetition = body.repetition_penalty
    return Penalties(
        repetition=1.0 if repetition is None else float(repetition),
        presence=float(body.presence_penalty or 0),
        frequency=float(body.frequency_penalty or 0),
    )


def biases_of(body: Generating, vocab: int) -> tuple[TokenBias, ...]:
    """Return the biases of tokens of a vocabulary, in the order of their ids.

    Raises
    ------
    ApiError
        A key is no token id, or there are too many.
    InputError
        A bias is out of its range.
    """
    asked = body.logit_bias or {}
    if len(asked) > MOST_BIASES:
        raise _wrong(str(len(asked)), f"at most {MOST_BIASES} tokens")
    biases = {}
    for name, bias in asked.items():
        is_id = name.isascii() and name.isdigit() and len(name) <= len(str(vocab))
        if not is_id or int(name) >= vocab:
            raise _wrong(repr(name[:40]), f"must be a token id >= 0 and < {vocab}")
        if int(name) in biases:
            raise _wrong(repr(name[:40]), "is there twice")
        biases[int(name)] = TokenBias(int(name), float(bias))
    return tuple(one for _, one in sorted(biases.items()) if one.bias)


def _wrong(found: str, needed: str) -> ApiError:
    return ApiError(f"logit_bias: {found}, {needed}", param="logit_bias", code="invalid_value")
