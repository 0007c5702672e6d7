"""The mean request of a workload, and the spread of its lengths."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

from hexplan.workload import Workload
from hexplan_solver.served.params import SERVED_PARAMS
from hexplan_solver.simulate import Policy, SpreadLengths


@dataclass(frozen=True, slots=True)
class MeanRequest:
    """What of the lengths of requests decides how many are served."""

    prompt_tokens: float
    decode_tokens: float
    """Tokens that decodes give: all of the output, or all but the first."""
    context_tokens: float
    """Mean context of a decode."""
    reserved_tokens: float
    """KV that a request in flight keeps, in tokens: long outputs stay longer, so weigh more."""
    prompt_sizes: tuple[float, ...]
    """Prompts of equal probability, shortest first."""
    reach_tokens: float
    """Mean number of tokens before a prompt's token, over all tokens of all prompts."""


def spread_lengths(workload: Workload) -> SpreadLengths:
    """Return lengths of the workload's means between 1 and its longest."""
    return SpreadLengths(workload.prompt_tokens, workload.output_tokens)


@lru_cache(maxsize=64)
def mean_request(workload: Workload, policy: Policy) -> MeanRequest:
    """Take means over the quantiles of the lengths that `spread_lengths` draws."""
    lengths = spread_lengths(workload)
    strata, num_sizes = SERVED_PARAMS.strata, SERVED_PARAMS.sizes
    pairs = [lengths(_Share((i + 0.5) / strata)) for i in range(strata)]
    prompt = sum(p for p, _ in pairs) / strata
    output = sum(o for _, o in pairs) / strata
    long = sum(o * o for _, o in pairs) / strata / output
    expected = policy.reservation.expected_output_tokens
    sizes = [pairs[int((i + 0.5) / num_sizes * strata)][0] for i in range(num_sizes)]
    return MeanRequest(
        prompt_tokens=prompt,
        decode_tokens=max(output - policy.prompt_gives_token, 1.0),
        context_tokens=prompt + long / 2,
        reserved_tokens=prompt + (long if expected is None else expected),
        prompt_sizes=tuple(float(size) for size in sizes),
        reach_tokens=sum(p * p for p, _ in pairs) / 2 / sum(p for p, _ in pairs),
    )


@lru_cache(maxsize=64)
def prompt_quantiles(workload: Workload) -> tuple[int, ...]:
    """Return lengths of prompts of equal probability, shortest first."""
    lengths, strata = spread_lengths(workload), SERVED_PARAMS.strata
    return tuple(lengths(_Share((i + 0.5) / strata))[0] for i in range(strata))


class _Share(random.Random):
    """A source of randomness that always draws the same share: the inverse at one quantile."""

    def __init__(self, share: float) -> None:
        super().__init__(0)
        self._share = share

    def random(self) -> float:
        """Return the share."""
        return self._share
