"""Tokens through every layout of stages, while requests come, share prefixes, make way and go."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from make_tiny_checkpoints import FAMILIES
from support.reference import Continuation
from support.runtime_plans import interleaving, sharing, without_way_back
from support.token_matrix import Layout, check_layout, continuations
from torch import Tensor

from hexplan_runtime.model.step import BlockStep
from hexplan_runtime.runner.shared_tokens import SharedTokens

MANY = 200
SHIFT_TOKENS = 6
"""Steps of the tests have up to 32 tokens, and most of them are decodes."""
INTERLEAVED_FROM = 5
LAYOUTS = {
    "2-1-1": Layout([((0, 1), (1, 1)), ((1, 3), (1,)), ((3, 4), (1,))]),
    "1-2": Layout([((0, 2), (1,)), ((2, 4), (1, 1))]),
    "3-1": Layout([((0, 2), (1, 1, 1)), ((2, 4), (1,))]),
    "uneven 2:1, by way of the router": Layout(
        [((0, 2), (2, 1)), ((2, 4), (1,))], None, without_way_back
    ),
    "two routes that share a stage": Layout(
        [((0, 2), (1,)), ((2, 4), (1,)), ((2, 4), (1,))], [([0, 1], 60), ([0, 2], 40)]
    ),
    "a route that enters inside": Layout(
        [((0, 3), (1,)), ((1, 4), (1,)), ((0, 1), (1,))], [([0, 1], 60), ([2, 1], 40)]
    ),
    "sp": Layout([((0, 2), (1, 1, 1)), ((2, 4), (1,))], None, sharing),
    "shift": Layout(
        [((0, 3), (1,)), ((1, 4), (1, 1, 1)), ((0, 1), (1,))],
        [([0, 1], 60), ([2, 1], 40)],
        partial(sharing, shift_tokens=SHIFT_TOKENS),
    ),
    "interleaved": Layout(
        [((0, 2), (1, 1, 1)), ((2, 4), (1, 1))],
        None,
        partial(interleaving, from_tokens=INTERLEAVED_FROM),
    ),
}


@pytest.fixture(scope="module")
def expected(tiny: Callable[[str], Path]) -> Callable[[str, int], list[Continuation]]:
    """Return a function that gives so many prompts of a family, and what follows them."""
    known: dict[str, list[Continuation]] = {}

    def of_family(family: str, count: int) -> list[Continuation]:
        if len(known.get(family, [])) < count:
            known[family] = continuations(tiny(family), count)
        return known[family][:count]

    return of_family


def test_requests_that_share_beginnings_keep_their_tokens(
    tiny: Callable[[str], Path], expected: Callable[[str, int], list[Continuation]]
) -> None:
    layout = LAYOUTS["a route that enters inside"]
    seen = check_layout(tiny("llama"), layout, expected("llama", 40)[:20])
    assert seen.preemptions > 0
    # On a busy machine the one that few requests enter may be emptied between any two of them.
    assert any(stage.hit_tokens > 0 for stage in seen.kv)
    assert all(stage.kept_tokens <= stage.total_tokens for stage in seen.kv)


def test_steps_that_switch_at_random_between_tp_and_sp_keep_their_tokens(
    tiny: Callable[[str], Path],
    expected: Callable[[str, int], list[Continuation]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which mode comes next depends on who comes, goes and is cancelled when."""
    are_small: list[bool] = []
    run = SharedTokens.run

    def noted(self: SharedTokens, block: int, x_TH: Tensor, step: BlockStep) -> None:
        are_small.append(len(x_TH) <= SHIFT_TOKENS)
        run(self, block, x_TH, step)

    monkeypatch.setattr(SharedTokens, "run", noted)
    seen = check_layout(tiny("llama"), LAYOUTS["shift"], expected("llama", 40)[:20])
    assert seen.preemptions > 0
    assert any(stage.hit_tokens > 0 for stage in seen.kv)
    ranks = 3
    switches = sum(one != next for one, next in zip(are_small, are_small[1:], strict=False))
    assert switches > 10 * ranks
    assert 0 < sum(are_small) < len(are_small)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_two_hundred_requests_keep_their_tokens_in_every_layout(
    tiny: Callable[[str], Path],
    expected: Callable[[str, int], list[Continuation]],
    family: str,
    layout: str,
) -> None:
    seen = check_layout(tiny(family), LAYOUTS[layout], expected(family, MANY))
    assert seen.preemptions > 0
    assert all(stage.hit_tokens > 0 for stage in seen.kv)
