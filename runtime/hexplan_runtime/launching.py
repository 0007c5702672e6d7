"""Launch a plan and continue prompts with it; importing this imports torch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from hexplan.measured.observation_file import ObservationFile
from hexplan.plan import Plan
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.launch.places import Hosts
from hexplan_runtime.launch.startup import RankStats
from hexplan_runtime.model.architecture import read_stop_ids
from hexplan_runtime.model.model_files import find_model_folder
from hexplan_runtime.request import Request, TokenEvent
from hexplan_runtime.text import (
    GenerationSettings,
    TextPiece,
    make_requests,
    read_tokenizer,
    stream_requests,
)


class LaunchListener(Protocol):
    """Whoever follows a launch."""

    def ready(self, stats: Sequence[RankStats], elapsed_s: float) -> None:
        """Hear that every stage is up."""

    def piece(self, piece: TextPiece) -> None:
        """Take new text of one prompt."""

    def done(self, num_tokens: int, elapsed_s: float) -> None:
        """Hear how many tokens were made, and how long that took."""


class CountedPipeline(Pipeline):
    """A pipeline that counts the tokens it makes."""

    num_tokens = 0

    def generate(self, requests: Sequence[Request]) -> Iterator[TokenEvent]:
        """Yield the tokens of all requests as they come."""
        for event in super().generate(requests):
            self.num_tokens += 1
            yield event


@dataclass(frozen=True, slots=True)
class Launch:
    """How a plan is launched."""

    observe: ObservationFile | None = None
    """Where to write how long each step and message takes."""
    hosts: Hosts | None = None
    """How its hosts are reached; None runs all of them on this machine."""


def continue_prompts(
    plan: Plan,
    prompts: Sequence[str],
    settings: GenerationSettings,
    listener: LaunchListener,
    launch: Launch | None = None,
) -> None:
    """Start every stage, continue all prompts, and end every process again."""
    how = launch or Launch()
    folder = find_model_folder(plan, settings.model_folder)
    tokenizer = read_tokenizer(folder)
    requests = make_requests(tokenizer, prompts, settings, read_stop_ids(folder))
    begun_s = time.monotonic()
    counted = CountedPipeline(plan, folder, observe=how.observe, hosts=how.hosts)
    counted.check(requests)  # before ranks read weights, which may take minutes
    with counted as pipeline:
        ready_s = time.monotonic()
        listener.ready(pipeline.stats, ready_s - begun_s)
        for piece in stream_requests(pipeline, tokenizer, requests):
            listener.piece(piece)
        listener.done(pipeline.num_tokens, time.monotonic() - ready_s)
