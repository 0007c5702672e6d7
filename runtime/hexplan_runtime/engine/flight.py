"""Flights: a request on its way through one route, from its admission to its landing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hexplan.schedule.kv_growth import grown_reservation
from hexplan_runtime.batch import NOTHING, Batch, Prefix, Row, whole_blocks
from hexplan_runtime.request import EndRule, FinishReason, Logprobs, Request, Sampling


@dataclass(slots=True)
class Asked:
    """A request that waits for room."""

    ticket: int
    """Its place in the order of arrival."""
    request: Request
    tokens: list[int]
    """Its prompt, and what was emitted before it had to make way."""
    is_again: bool = False
    """Whether it had to make way before, or was on a route that was lost."""
    replays: int = 0
    """How often it was on a route that was lost."""

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
    keeps: bool = False
    """Whether its stages keep its context for others once it is over."""
    prefix: Prefix = NOTHING
    """What it begins with, once it begins."""
    has_begun: bool = False
    has_ended: bool = False
    """Whether its last token is here."""
    is_copied: bool = False
    """Whether all stages have copied that."""
    stays: int | None = None
    """How many tokens are to stay, if the router has told the stages that it is over."""
    prompt_tokens: int = field(init=False)
    """Tokens to run before it decodes."""
    sampling: Sampling = field(init=False)
    end_rule: EndRule = field(init=False)
    passed_tokens: int = 0
    """Tokens of it that have come through all stages."""
    prompt_logprobs: list[Logprobs] = field(default_factory=list)
    """What has been told of the prompt so far."""
    is_over: bool = False
    parks: bool = False
    """Whether it decodes no further for now."""
    fetches: bool = False
    """Whether its KV has to come back from host memory before its next decode."""

    def __post_init__(self) -> None:
        self.prompt_tokens = len(self.asked.tokens)
        self.sampling = self.asked.request.row_sampling(self.asked.tokens)
        self.end_rule = replace(self.asked.request.end_rule, keeps=self.keeps)

    @property
    def lacks_room(self) -> bool:
        """Whether the next decode needs a larger reservation."""
        return len(self.asked.tokens) > self.reserved_tokens

    def take(self, token: int) -> FinishReason | None:
        """Note a new token, and return why it is the last, if it is."""
        tokens = self.asked.tokens
        tokens.append(token)
        reason = self.end_rule.reason(token, len(tokens))
        self.has_ended = reason is not None
        return reason

    def prompt_row(self, first: int, end: int) -> EntryRow:
        """Return tokens `[first, end)` of what is to run before it decodes."""
        row = self._row(first, end - first, samples=end == self.prompt_tokens)
        return EntryRow(self.stage, row, tuple(self.asked.tokens[first:end]))

    def decode_row(self) -> EntryRow:
        """Return the last token, after which the next is drawn."""
        row = self._row(len(self.asked.tokens) - 1, 1, samples=True, decodes=True)
        return EntryRow(self.stage, row, (self.asked.tokens[-1],))

    def close_row(self, stays: int) -> EntryRow:
        """Return what ends it but for so many tokens.

        The rest of its room is free once this has passed the whole route.
        """
        return EntryRow(self.stage, self._row(stays, 0, closes=True), ())

    def staying(self, *, is_read: bool) -> int:
        """Return how many tokens stay if the router tells its end, and others may copy from it."""
        if self.has_ended:
            return self.known_tokens
        # Whoever is about to copy its prompt must still find it.
        return whole_blocks(self.prompt_tokens) if is_read else 0

    @property
    def known_tokens(self) -> int:
        """Tokens whose keys and values may stay, once its last token is here."""
        return whole_blocks(len(self.asked.tokens) - 1) if self.keeps else 0

    def room_row(self) -> EntryRow:
        """Return what tells the stage where its route begins how much room it has by now."""
        return EntryRow(self.stage, self._row(0, 0), ())

    def stow_row(self) -> EntryRow:
        """Return what moves its KV to host memory, but for its last token, which has none yet."""
        row = self._row(len(self.asked.tokens) - 1, 0)
        return EntryRow(self.stage, replace(row, stows=True), ())

    @property
    def tokens_again(self) -> int:
        """Tokens to reserve where its KV is to come back: what it has, and a page."""
        return grown_reservation(len(self.asked.tokens), self.asked.request.context_tokens)

    @property
    def is_decoding(self) -> bool:
        """Whether its prompt is through."""
        return len(self.asked.tokens) > self.prompt_tokens

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
            end_rule=self.end_rule,
            prefix=self.prefix,
            parks=self.parks,
            fetches=self.fetches,
        )


def note_prompts(flights: Mapping[int, Flight], batch: Batch) -> None:
    """Keep what is told of prompts; two pieces of one may come together, in any order."""
    pairs = zip(batch.rows, batch.prompt_logprobs, strict=bool(batch.prompt_logprobs))
    for row, told in sorted(pairs, key=lambda pair: pair[0].position):
        if told and row.request in flights:
            flights[row.request].prompt_logprobs += told
