"""What a launch generates, and whether anything of it is left."""

from __future__ import annotations

from collections.abc import Sequence

from hexplan_runtime.engine.core import EngineCore
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request

Tokens = list[tuple[int, ...]]


def tokens_of(pipeline: Pipeline, requests: Sequence[Request]) -> Tokens:
    """Return the tokens of each request, all asked for at once."""
    found: list[list[int]] = [[] for _ in requests]
    for event in pipeline.generate(requests):
        found[event.request_index].append(event.token_id)
    return [tuple(tokens) for tokens in found]


def is_empty(core: EngineCore) -> bool:
    """Say whether no request runs, waits or holds anything."""
    now = core.snapshot()
    kept = sum(stage.held_tokens + stage.swapped_tokens for stage in now.kv)
    return (now.running, now.waiting, now.swapped, kept) == (0, 0, 0, 0)
