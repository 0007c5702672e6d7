"""How long a stage takes for one hop at a given rate (docs/formulation.md 9)."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Station:
    """A stage that works in steps: each takes all prompts and tokens that have arrived.

    A step with b decode tokens and n prompts takes `base_s + b token_s + n prompt_s`.
    """

    base_s: float
    """Time of every step, such as reading the weights."""
    token_s: float
    """Time that each decode token adds."""
    prompt_s: float
    """Time that each prompt adds."""
    output_tokens: float
    """Decode tokens that follow each prompt."""

    def utilisation(self, rate_per_s: float) -> float:
        """Return rho: the work in prompts and tokens that arrives in one second, below 1.

        `base_s` is no part of it: larger steps pay it less often.
        """
        return rate_per_s * (self.prompt_s + self.output_tokens * self.token_s)

    def prompt_hop_s(self, rate_per_s: float) -> float:
        """Return the mean time from a prompt's arrival to the end of its step."""
        return self._delay_s(rate_per_s) + self._busy(rate_per_s) * self.base_s + self.prompt_s

    def decode_hop_s(self, rate_per_s: float) -> float:
        """Return the mean time from a decode token's arrival to the end of its step."""
        return self._delay_s(rate_per_s) + self.base_s + self.token_s

    def _delay_s(self, rate_per_s: float) -> float:
        """Return the wait for the step under way, and for what shares the next step.

        A step that follows one of length S takes `base + rho S` in the mean. So the mean step is
        `s = base / (1 - rho)`, and its variance over its mean is `rate prompt^2 / (1 - rho^2)`.
        An arrival is more likely to meet a long step, so the step that it meets is longer than the
        mean by that ratio (length bias). It waits for half of that step, and then shares its own
        step with all that arrived during it.
        """
        rho = self.utilisation(rate_per_s)
        if rho >= 1:
            return math.inf
        spread_s = self._spread_s(rate_per_s) / (1 - rho * rho)
        met_s = self._busy(rate_per_s) * self.base_s / (1 - rho) + spread_s
        return met_s * (0.5 + rho)

    def _spread_s(self, rate_per_s: float) -> float:
        """Return the variance that the Poisson arrivals of one second add to a step, in s^2 / s."""
        squares = self.prompt_s**2 + self.output_tokens * self.token_s**2
        return rate_per_s * squares

    def _busy(self, rate_per_s: float) -> float:
        """Return the probability that an arrival meets a step under way.

        Take steps of a fixed length s, each with all that has arrived at rate a (M/D/1 with batches
        of any size). In the mean `exp(a s)` steps follow one another, until nothing arrives during
        one; then the stage is idle for `1 / a`.
        """
        rho = self.utilisation(rate_per_s)
        jobs = rate_per_s * (1 + self.output_tokens) * self.base_s / (1 - rho)
        # work / (1 + work) for work = jobs exp(jobs), in a form that cannot overflow.
        work = jobs * math.exp(min(jobs, 50.0))
        return work / (1 + work)
