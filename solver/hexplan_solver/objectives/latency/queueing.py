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

    @property
    def alone_s(self) -> float:
        """The time of a step with one decode token."""
        return self.base_s + self.token_s

    def utilisation(self, rate_per_s: float) -> float:
        """Return rho: the work in prompts and tokens that arrives in one second, below 1.

        `base_s` is no part of it: larger steps pay it less often.
        """
        return rate_per_s * (self.prompt_s + self.output_tokens * self.token_s)

    def prompt_hop_s(self, rate_per_s: float) -> float:
        """Return the mean time from a prompt's arrival to the end of its step.

        Prompts arrive at random moments, so they find the stage as it is on average (PASTA). A
        prompt waits for half of the step that it meets, and shares its own step with all that
        arrived during that one.
        """
        rho = self.utilisation(rate_per_s)
        if rho >= 1:
            return math.inf
        busy = self._busy(rate_per_s)
        met_s = busy * self.base_s / (1 - rho) + self._excess_s(rate_per_s, self.prompt_s**2)
        return met_s * (0.5 + rho) + busy * self.base_s + self.prompt_s

    def decode_hop_s(self, rate_per_s: float, round_s: float) -> float:
        """Return the mean time from a decode token's arrival to the end of its step.

        A request's tokens do not arrive at random moments: each comes one round after the one
        before, and never meets a step of its own request. So it waits only for other requests.

        Parameters
        ----------
        round_s
            The time of a token around all stages and links, without any wait.
        """
        rho = self.utilisation(rate_per_s)
        if rho >= 1:
            return math.inf
        others_s = self._company(rate_per_s, round_s) * rho * self.base_s / (1 - rho)
        met_s = self._excess_s(rate_per_s, self._met_prompt_s2(round_s))
        return self.alone_s + others_s + met_s * (0.5 + rho)

    def _company(self, rate_per_s: float, round_s: float) -> float:
        """Return the probability that another request decodes at the same time.

        The number of other requests is Poisson. If a request arrives during another one's prompt,
        it waits for that, and its own prompt then holds up the other's first token. So the two
        decode at the same time from then on, whichever came first.
        """
        together_s = self.output_tokens * round_s + 2 * self.prompt_s
        return -math.expm1(-rate_per_s * together_s)

    def _met_prompt_s2(self, round_s: float) -> float:
        """Return twice the wait of a token for prompts, over the rate of prompts.

        A prompt begins at a random moment of a round, and the token comes once a round: it waits
        `prompt - u`, for u uniform in the round, if that is above 0. A prompt that came during the
        request's own prompt holds up the first of its tokens.
        """
        met_s = min(self.prompt_s, round_s)
        first_s2 = 2 * self.prompt_s**2 / max(1.0, self.output_tokens)
        return met_s * (2 * self.prompt_s - met_s) + first_s2

    def _excess_s(self, rate_per_s: float, prompt_s2: float) -> float:
        """Return by how much a step that is met is longer than the mean (length bias).

        A step that follows one of length S takes `base + rho S` in the mean. So its mean is
        `s = base / (1 - rho)`, and its variance over its mean is `rate prompt^2 / (1 - rho^2)`.
        """
        rho = self.utilisation(rate_per_s)
        squares = prompt_s2 + self.output_tokens * self.token_s**2
        return rate_per_s * squares / (1 - rho * rho)

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
