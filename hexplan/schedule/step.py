"""The next step: which of the work that waits at a stage goes into it."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from hexplan.schedule.limits import least_prompt_tokens
from hexplan.step_limits import StepLimits


class Waiting(Protocol):
    """Work that waits at a stage: a part of one prompt, or decodes of one token per request."""

    @property
    def tokens(self) -> int:
        """Tokens to run; a message that only ends its request has none."""

    @property
    def is_prompt(self) -> bool:
        """Whether it is anything but decodes."""

    @property
    def order_key(self) -> Hashable | None:
        """The request that it must not overtake earlier work of; None if none can wait before."""

    def cut(self, tokens: int) -> tuple[Self, Self]:
        """Return its first tokens and the rest."""


W = TypeVar("W", bound=Waiting)


def prompt_room(limits: StepLimits, decodes: int) -> int:
    """Return the prompt tokens that fit into a step beside some decodes."""
    tokens = limits.tokens
    return max(tokens - decodes, least_prompt_tokens(tokens))


def next_step(
    waiting: Sequence[W], limits: StepLimits, max_items: int = sys.maxsize
) -> tuple[list[W], list[W]]:
    """Return what goes into the next step and what stays, both in the order of arrival.

    Decodes have precedence. Prompts take the tokens that decodes leave, at least their own part of
    the step, and the last one is cut to fit. Nothing overtakes earlier work with the same key.

    Parameters
    ----------
    max_items
        Items in the step, where each decode counts by itself.
    """
    decodes = min(limits.decodes, sum([item.tokens for item in waiting if not item.is_prompt]))
    room, others = prompt_room(limits, decodes), max_items - decodes
    taken: list[W] = []
    left: list[W] = []
    delayed: set[Hashable] = set()
    for item in waiting:
        tokens = item.tokens
        space = (room if others else 0) if item.is_prompt else decodes
        is_full = not space and (tokens or not others)
        if is_full or (delayed and item.order_key in delayed):
            left.append(item)
            if item.order_key is not None:
                delayed.add(item.order_key)
            continue
        if tokens > space:
            item, rest = item.cut(space)
            left.append(rest)
            if rest.order_key is not None:
                delayed.add(rest.order_key)
            tokens = space
        if item.is_prompt:
            room -= tokens
            others -= 1
        else:
            decodes -= tokens
        taken.append(item)
    return taken, left


@dataclass(frozen=True, slots=True)
class WholeStepLimits:
    """What one step may hold where prompts are never cut."""

    decodes: int
    prompts: int
    """Prompts in a step."""
    prompt_tokens: int
    """Tokens of all its prompts; a longer prompt goes without others."""


def next_whole_step(waiting: Sequence[W], limits: WholeStepLimits) -> tuple[list[W], list[W]]:
    """Return what goes into the next step and what stays, where prompts run whole.

    Prompts do not make way for decodes: both are taken first come, first served, as in Helix's
    published scheduler (ASPLOS 2025).
    """
    decodes = min(limits.decodes, _decodes(waiting))
    taken: list[W] = []
    left: list[W] = []
    prompts = prompt_tokens = 0
    for item in waiting:
        tokens = item.tokens
        if item.is_prompt:
            fits = prompt_tokens + tokens <= limits.prompt_tokens
            if prompts < limits.prompts and (fits or not prompts):
                prompts += 1
                prompt_tokens += tokens
                taken.append(item)
            else:
                left.append(item)
        elif not decodes:
            left.append(item)
        else:
            if tokens > decodes:
                item, rest = item.cut(decodes)
                left.append(rest)
                tokens = decodes
            decodes -= tokens
            taken.append(item)
    return taken, left


def _decodes(waiting: Sequence[Waiting]) -> int:
    return sum([item.tokens for item in waiting if not item.is_prompt])
