"""How long a stage takes for one hop at a given rate (docs/formulation.md 9)."""

from __future__ import annotations

import math
from dataclasses import dataclass

LONGEST_EXPONENT = 50.0
"""Beyond this a stage is busy for certain."""


@dataclass(frozen=True, slots=True)
class Station:
    """A stage that works in steps: each takes all prompts and tokens that have arrived.

    A step with b decode tokens and n prompts takes `base_s + b token_s + n prompt_s`.
    """

    base_s: float
    """Reading the weights and the like, once for all decode tokens of a step."""
    token_s: float
    """What one more decode token adds."""
    prompt_s: float
    """What one more prompt adds."""
    output_tokens: float
    """Decode tokens that follow each prompt."""

    def utilisation(self, rate_per_s: float) -> float:
        """Return rho, the share of the time that grows with the rate of requests; below 1."""
        return rate_per_s * (self.prompt_s + self.output_tokens * self.token_s)

    def prompt_hop_s(self, rate_per_s: float) -> float:
        """Return the mean time from a prompt's arrival to the end of its step."""
        return self._delay_s(rate_per_s) + self._busy(rate_per_s) * self.base_s + self.prompt_s

    def decode_hop_s(self, rate_per_s: float) -> float:
        """Return the mean time from a decode token's arrival to the end of its step."""
        return self._delay_s(rate_per_s) + self.base_s + self.token_s

    def _delay_s(self, rate_per_s: float) -> float:
        """Return the wait for the step under way, and the work of what arrives meanwhile.

        A step that follows one of length S takes `base + rho S` in the mean. So its mean is
        `s = base / (1 - rho)`, its variance over its mean is `rate prompt^2 / (1 - rho^2)`, and
        an arrival meets a step that is longer than the mean by that (length bias). It waits for
        half of it, and shares its own step with what arrived in all of it.
        """
        rho = self.utilisation(rate_per_s)
        if rho >= 1:
            return math.inf
        spread_s = self._spread_s(rate_per_s) / (1 - rho * rho)
        met_s = self._busy(rate_per_s) * self.base_s / (1 - rho) + spread_s
        return met_s * (0.5 + rho)

    def _spread_s(self, rate_per_s: float) -> float:
        """Return what the Poisson arrivals of one second add to the variance of steps."""
        squares = self.prompt_s**2 + self.output_tokens * self.token_s**2
        return rate_per_s * squares

    def _busy(self, rate_per_s: float) -> float:
        """Return the probability that an arrival meets a step under way.

        Steps of a fixed length s that take all that has arrived (M/D/1 with batches of any size)
        follow one another `exp(a s)` times in the mean, until none arrives during one; then the
        stage rests for `1 / a`.
        """
        rho = self.utilisation(rate_per_s)
        jobs = rate_per_s * (1 + self.output_tokens) * self.base_s / (1 - rho)
        work = jobs * math.exp(min(jobs, LONGEST_EXPONENT))
        return work / (1 + work)
