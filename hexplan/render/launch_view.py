"""Show a launch to people and programs: generated text on stdout, its progress on stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from hexplan.plan import Plan
from hexplan.render import words
from hexplan.render.console import say

if TYPE_CHECKING:
    from hexplan_runtime.launch.startup import RankStats
    from hexplan_runtime.text import TextPiece

Emit = Callable[[str], None]


class Writer(Protocol):
    """Prints continuations on stdout."""

    def add(self, piece: TextPiece) -> None:
        """Take new text of one prompt."""


class LaunchView:
    """Hands a launch's text to a writer, and reports its progress on stderr."""

    def __init__(self, plan: Plan, writer: Writer) -> None:
        self._cluster = plan.cluster
        self._stages = {stage.id: stage for stage in plan.stages}
        self._writer = writer

    def ready(self, stats: Sequence[RankStats], elapsed_s: float) -> None:
        """Report what each stage holds."""
        for name, ranks in groupby(stats, key=lambda rank: rank.stage):
            stage = self._stages[name]
            held = words.size(sum(rank.weights_bytes for rank in ranks))
            host = words.host(stage.host, self._cluster)
            place = f"{words.count(stage.tp, 'device')} of {host}"
            say(f"{name} ready: layers {words.span(stage.layers)} on {place}, weights {held}")
        say(f"all stages ready after {words.duration(elapsed_s)}")

    def piece(self, piece: TextPiece) -> None:
        """Hand new text to the writer."""
        self._writer.add(piece)

    def done(self, num_tokens: int, elapsed_s: float) -> None:
        """Report how many tokens were generated, and how fast."""
        speed = words.rate(num_tokens / max(elapsed_s, 1e-9))
        say(f"{words.count(num_tokens, 'token')} in {words.duration(elapsed_s)}: {speed} tokens/s")


class InOrder:
    """Prints continuations in the order of their prompts; the current one is streamed."""

    def __init__(self, prompts: Sequence[str], emit: Emit) -> None:
        self._emit = emit
        many = len(prompts) > 1
        self._waiting = [f"==> {prompt} <==\n" if many else "" for prompt in prompts]
        """The text of each continuation that is not printed yet."""
        self._is_over = [False] * len(prompts)
        self._current = 0

    def add(self, piece: TextPiece) -> None:
        """Print the piece if it is its prompt's turn; at its end, print what waited for that."""
        index = piece.prompt_index
        self._waiting[index] += piece.text + ("\n" if piece.is_last else "")
        self._is_over[index] = piece.is_last
        self._print_current()
        while self._current < len(self._is_over) and self._is_over[self._current]:
            self._current += 1
            self._print_current()

    def _print_current(self) -> None:
        if self._current < len(self._waiting) and (text := self._waiting[self._current]):
            self._waiting[self._current] = ""
            self._emit(text)


class JsonLines:
    """Prints each finished continuation as a JSON object on one line."""

    def __init__(self, prompts: Sequence[str], emit: Emit) -> None:
        self._prompts = prompts
        self._emit = emit
        self._texts = [""] * len(prompts)
        self._token_ids: list[list[int]] = [[] for _ in prompts]

    def add(self, piece: TextPiece) -> None:
        """Keep the text, and print all of it once it is complete."""
        index = piece.prompt_index
        self._texts[index] += piece.text
        self._token_ids[index] += piece.token_ids
        if piece.is_last:
            answer = {
                "index": index,
                "prompt": self._prompts[index],
                "text": self._texts[index],
                "finish_reason": piece.finish_reason,
                "prompt_tokens": piece.prompt_tokens,
                "token_ids": self._token_ids[index],
            }
            self._emit(json.dumps(answer, ensure_ascii=False) + "\n")
