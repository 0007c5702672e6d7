"""Token groups: the tokens that travel and are computed together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hexplan_solver.simulate.request_state import RequestState


class TokenGroup:
    """A part of one prompt, or decodes of one or more requests."""

    order_key = None
    """Prompts wait in order, and a request has one decode at a time, so none can be overtaken."""

    __slots__ = ("context", "edge", "is_prompt", "requests", "sent_s", "start", "tokens")

    def __init__(self, requests: list[RequestState], tokens: int, start: int, *, is_prompt: bool):
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
    def of_decodes(cls, requests: list[RequestState]) -> TokenGroup:
        """Carry one token of each request."""
        group = cls(requests, len(requests), 0, is_prompt=False)
        group.context = sum([r.prompt_tokens + r.emitted for r in requests])
        return group

    @property
    def is_prompt_end(self) -> bool:
        """Whether it carries the last token of a prompt."""
        return self.is_prompt and self.start + self.tokens == self.requests[0].prompt_tokens

    def cut(self, tokens: int) -> tuple[TokenGroup, TokenGroup]:
        """Return the first tokens as a group of their own, and the rest, which is this group."""
        if self.is_prompt:
            head = TokenGroup(self.requests, tokens, self.start, is_prompt=True)
            self.start += tokens
        else:
            head = TokenGroup.of_decodes(self.requests[:tokens])
            self.requests = self.requests[tokens:]
            self.context -= head.context
        self.tokens -= tokens
        return head._sent_as(self), self

    def without_lost(self) -> TokenGroup | None:
        """Return the group without lost requests, or None if nothing remains."""
        kept = [request for request in self.requests if not request.is_lost]
        if len(kept) == len(self.requests):
            return self
        if not kept or self.is_prompt:
            return None
        return TokenGroup.of_decodes(kept)._sent_as(self)

    def _sent_as(self, other: TokenGroup) -> TokenGroup:
        self.edge, self.sent_s = other.edge, other.sent_s
        return self


def extend(groups: list[TokenGroup], group: TokenGroup) -> None:
    """Append a group to a list, or merge it into the last one where that is possible."""
    if groups:
        last = groups[-1]
        if not (last.is_prompt or group.is_prompt):
            last.requests = last.requests + group.requests
            last.tokens += group.tokens
            last.context += group.context
            return
        is_same = last.is_prompt and group.is_prompt and last.requests[0] is group.requests[0]
        if is_same and last.start + last.tokens == group.start:
            last.tokens += group.tokens
            return
    groups.append(group)


def by_edge(
    groups: Iterable[TokenGroup], stage: int, edges: Sequence[int]
) -> dict[int, list[TokenGroup]]:
    """Return what leaves a stage by the edge that each request takes, one of those given."""
    leaving: dict[int, list[TokenGroup]] = {}
    for group in groups:
        if len(edges) == 1:
            extend(leaving.setdefault(edges[0], []), group)
        elif group.is_prompt:
            route = group.requests[0].route
            assert route is not None
            extend(leaving.setdefault(route.prefill.next_edge[stage], []), group)
        else:
            for edge, requests in _by_next(group.requests, stage).items():
                extend(leaving.setdefault(edge, []), TokenGroup.of_decodes(requests))
    return leaving


def _by_next(requests: Iterable[RequestState], stage: int) -> dict[int, list[RequestState]]:
    split: dict[int, list[RequestState]] = {}
    for request in requests:
        assert request.route is not None
        split.setdefault(request.route.decode.next_edge[stage], []).append(request)
    return split
