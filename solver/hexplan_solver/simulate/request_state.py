"""A request while it is simulated: what it still needs, and what is reserved for it."""

from __future__ import annotations

from hexplan_solver.simulate.request_route import RequestRoute


class RequestState:
    """A request from its arrival to its end, or to the restart that replaces it."""

    __slots__ = (
        "admitted_s",
        "arrival_s",
        "asked_prompt_tokens",
        "asked_tokens",
        "client",
        "route",
        "emitted",
        "first_s",
        "is_due",
        "is_lost",
        "last_s",
        "number",
        "output_tokens",
        "prompt_tokens",
        "reserved_tokens",
        "restarts",
        "unmoved",
    )

    def __init__(
        self, number: int, arrival_s: float, prompt_tokens: int, output_tokens: int
    ) -> None:
        self.number, self.arrival_s = number, arrival_s
        self.prompt_tokens = prompt_tokens
        """Tokens to prefill: the prompt and, after a restart, what was emitted before."""
        self.asked_prompt_tokens = prompt_tokens
        """Tokens of the prompt alone."""
        self.asked_tokens = output_tokens
        """Tokens to emit in all."""
        self.output_tokens = output_tokens
        """Tokens still to emit when it was last admitted."""
        self.emitted = 0
        """Tokens emitted since then."""
        self.client = ""
        """Who sent it, where requests are told apart by that."""
        self.route: RequestRoute | None = None
        self.reserved_tokens = 0
        self.admitted_s = self.first_s = self.last_s = -1.0
        self.restarts = 0
        self.is_lost = False
        """Whether its KV was lost; tokens of it that are still on their way are dropped."""
        self.unmoved = 0
        """Prompt tokens times layers whose KV has still to move to the stages that decode them."""
        self.is_due = False
        """Whether its first decode waits for nothing but that move."""

    @property
    def context_tokens(self) -> int:
        """Tokens that its KV cache holds."""
        return self.prompt_tokens + self.emitted

    def is_on(self, stage: int) -> bool:
        """Say whether a stage keeps KV of it."""
        assert self.route is not None
        return any(h.stage == stage and (h.layers or self.unmoved) for h in self.route.holds)

    def again(self) -> RequestState:
        """Return the request that starts over, with all its tokens so far to prefill."""
        left = self.output_tokens - self.emitted
        clone = RequestState(self.number, self.arrival_s, self.context_tokens, left)
        clone.first_s, clone.last_s = self.first_s, self.last_s
        clone.asked_prompt_tokens, clone.asked_tokens = self.asked_prompt_tokens, self.asked_tokens
        clone.client = self.client
        clone.restarts = self.restarts + 1
        return clone
