"""What moves through the pipeline: requests, and the parcels that carry their tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hexplan_solver.simulate.course import Course


class Request:
    """A request under way."""

    __slots__ = (
        "admitted_s",
        "arrival_s",
        "asked_tokens",
        "course",
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
        self.asked_tokens = output_tokens
        """Tokens to emit in all."""
        self.output_tokens = output_tokens
        """Tokens still to emit when it was last admitted."""
        self.emitted = 0
        """Tokens emitted since then."""
        self.course: Course | None = None
        self.reserved_tokens = 0
        self.admitted_s = self.first_s = self.last_s = -1.0
        self.restarts = 0
        self.is_lost = False
        """Whether its KV was lost, so that what still moves of it counts for nothing."""
        self.unmoved = 0
        """Its prompt's tokens times layers whose KV has still to move to where it is decoded."""
        self.is_due = False
        """Whether its first decode waits for nothing but that."""

    @property
    def context_tokens(self) -> int:
        """Tokens that its KV cache holds."""
        return self.prompt_tokens + self.emitted

    def is_on(self, stage: int) -> bool:
        """Say whether a stage has KV of it."""
        assert self.course is not None
        return any(h.stage == stage and (h.layers or self.unmoved) for h in self.course.held)

    def again(self) -> Request:
        """Return the request as it must start over: with all tokens so far to prefill."""
        left = self.output_tokens - self.emitted
        clone = Request(self.number, self.arrival_s, self.context_tokens, left)
        clone.first_s, clone.last_s = self.first_s, self.last_s
        clone.asked_tokens = self.asked_tokens
        clone.restarts = self.restarts + 1
        return clone


class Parcel:
    """Tokens that travel and are computed together: a part of one prompt, or decodes."""

    __slots__ = ("context", "edge", "is_prompt", "requests", "sent_s", "start", "tokens")

    def __init__(self, requests: list[Request], tokens: int, start: int, *, is_prompt: bool):
        self.requests = requests
        self.tokens = tokens
        self.start = start
        """Position of the first token of a part of a prompt."""
        self.is_prompt = is_prompt
        self.context = 0
        """Sum of the contexts of decodes."""
        self.edge, self.sent_s = -1, 0.0
        """The edge over which it was sent, and when."""

    @classmethod
    def of_decodes(cls, requests: list[Request]) -> Parcel:
        """Carry one token of each request."""
        parcel = cls(requests, len(requests), 0, is_prompt=False)
        parcel.context = sum([r.prompt_tokens + r.emitted for r in requests])
        return parcel

    @property
    def is_prompt_end(self) -> bool:
        """Whether it carries the last token of a prompt."""
        return self.is_prompt and self.start + self.tokens == self.requests[0].prompt_tokens

    def split(self, tokens: int) -> Parcel:
        """Cut the first `tokens` off and return them."""
        if self.is_prompt:
            head = Parcel(self.requests, tokens, self.start, is_prompt=True)
            self.start += tokens
        else:
            head = Parcel.of_decodes(self.requests[:tokens])
            self.requests = self.requests[tokens:]
            self.context -= head.context
        self.tokens -= tokens
        return head._sent_as(self)

    def without_lost(self) -> Parcel | None:
        """Return what is left of it without lost requests, if anything is."""
        kept = [request for request in self.requests if not request.is_lost]
        if len(kept) == len(self.requests):
            return self
        if not kept or self.is_prompt:
            return None
        return Parcel.of_decodes(kept)._sent_as(self)

    def _sent_as(self, other: Parcel) -> Parcel:
        self.edge, self.sent_s = other.edge, other.sent_s
        return self


def extend(parcels: list[Parcel], parcel: Parcel) -> None:
    """Append a parcel to a list, merged with the last one where they belong together."""
    if parcels:
        last = parcels[-1]
        if not (last.is_prompt or parcel.is_prompt):
            last.requests = last.requests + parcel.requests
            last.tokens += parcel.tokens
            last.context += parcel.context
            return
        is_same = last.is_prompt and parcel.is_prompt and last.requests[0] is parcel.requests[0]
        if is_same and last.start + last.tokens == parcel.start:
            last.tokens += parcel.tokens
            return
    parcels.append(parcel)


def by_edge(parcels: Iterable[Parcel], stage: int, edges: Sequence[int]) -> dict[int, list[Parcel]]:
    """Sort what leaves a stage by the edge that each request takes, one of those given."""
    leaving: dict[int, list[Parcel]] = {}
    for parcel in parcels:
        if len(edges) == 1:
            extend(leaving.setdefault(edges[0], []), parcel)
        elif parcel.is_prompt:
            course = parcel.requests[0].course
            assert course is not None
            extend(leaving.setdefault(course.prefill.after[stage], []), parcel)
        else:
            for edge, requests in _by_next(parcel.requests, stage).items():
                extend(leaving.setdefault(edge, []), Parcel.of_decodes(requests))
    return leaving


def _by_next(requests: Iterable[Request], stage: int) -> dict[int, list[Request]]:
    split: dict[int, list[Request]] = {}
    for request in requests:
        assert request.course is not None
        split.setdefault(request.course.decode.after[stage], []).append(request)
    return split
