"""Flights: a request on its way through one route, from its admission to its landing."""

from __future__ import annotations

from dataclasses import dataclass, field

from hexplan_runtime.batch import Row
from hexplan_runtime.request import FinishReason, Logprobs, Request, Sampling


@dataclass(slots=True)
class Asked:
    """A request that waits for room."""

    ticket: int
    """Its place in the order of arrival."""
    request: Request
    tokens: list[int]
    """Its prompt, and what was emitted before it had to make way."""
    is_again: bool = False
    """Whether it had to make way before."""

    @property
    def most_left(self) -> int:
        """The most tokens that it may still emit."""
        return self.request.context_tokens - len(self.tokens)


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A row and its tokens, for the stage where its route begins."""

    stage: str
    row: Row
    token_ids: tuple[int, ...]


@dataclass(slots=True)
class Flight:
    """A request that holds room on a route.

    One that had to make way starts over as another flight, so that what is still on its way for the
    first is not taken for the second's.
    """

    id: int
    asked: Asked
    route: int
    stage: str
    """The stage where its route begins."""
    reserved_tokens: int
    prompt_tokens: int = field(init=False)
    """Tokens to run before it decodes."""
    sampling: Sampling = field(init=False)
    prompt_logprobs: list[Logprobs] = field(default_factory=list)
    """What has been told of the prompt so far."""
    is_over: bool = False

    def __post_init__(self) -> None:
        self.prompt_tokens = len(self.asked.tokens)
        self.sampling = self.asked.request.row_sampling(self.asked.tokens)

    @property
    def lacks_room(self) -> bool:
        """Whether the next decode needs a larger reservation."""
        return len(self.asked.tokens) > self.reserved_tokens

    def take(self, token: int) -> FinishReason | None:
        """Note a new token, and return why it is the last, if it is."""
        asked = self.asked
        asked.tokens.append(token)
        if token in asked.request.stop_ids:
            return "stop"
        return None if asked.most_left else "length"

    def prompt_row(self, first: int, end: int) -> EntryRow:
        """Return tokens `[first, end)` of what is to run before it decodes."""
        row = self._row(first, end - first, samples=end == self.prompt_tokens)
        return EntryRow(self.stage, row, tuple(self.asked.tokens[first:end]))

    def decode_row(self) -> EntryRow:
        """Return the last token, after which the next is drawn."""
        row = self._row(len(self.asked.tokens) - 1, 1, samples=True, decodes=True)
        return EntryRow(self.stage, row, (self.asked.tokens[-1],))

    def close_row(self) -> EntryRow:
        """Return what ends it; its room is free once this has passed the whole route."""
        return EntryRow(self.stage, self._row(0, 0, closes=True), ())

    def _row(
        self,
        position: int,
        tokens: int,
        *,
        samples: bool = False,
        closes: bool = False,
        decodes: bool = False,
    ) -> Row:
        return Row(
            request=self.id,
            route=self.route,
            position=position,
            tokens=tokens,
            context_tokens=self.reserved_tokens,
            sampling=self.sampling,
            samples=samples,
            closes=closes,
            decodes=decodes,
        )
