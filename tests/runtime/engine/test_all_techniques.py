"""Every technique that may be combined in one pipeline, each switching all the time.

In every family whose layers the runtime has itself, with all their options; the others run through
the layers of transformers, and their stages have one device (`launch/test_supported.py`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from support.runtime_plans import StageSpec, with_everything
from support.tiny_models import FOUR_HEADS, OPTIONS, make_option
from support.token_matrix import Layout, check_layout, continuations
from torch import Tensor

from hexplan.schedule.interleaving import lane_cut
from hexplan.schedule.queueing.params import QUEUE_PARAMS, Queueing
from hexplan.techniques import Interleave
from hexplan_runtime.model.step import BlockStep
from hexplan_runtime.runner.shared_tokens import SharedTokens

IN_GROUPS = "llama-biases in groups"
FEW = {"qwen3-everything": 10, IN_GROUPS: 10}
MANY = 40
SHIFT_TOKENS = 6
STAGES: list[StageSpec] = [((0, 1), (1, 1, 1)), ((1, 2), (1, 1, 1)), ((2, 4), (1,))]
FOURS: list[StageSpec] = [((0, 1), (1, 1, 1, 1)), ((1, 2), (1, 1)), ((2, 4), (1,))]
"""The first stage shares out tokens in two groups of two ranks."""
OFTEN = replace(QUEUE_PARAMS, first_quantum_decodes=1, quantum_growth=1.3, host_share=3.0)
"""Requests make way all the time."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [*OPTIONS, IN_GROUPS])
def test_tokens_are_those_of_transformers_while_all_techniques_switch(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small: list[bool] = []
    whole: list[bool] = []
    run, cut = SharedTokens.run, lane_cut

    def noted_run(self: SharedTokens, block: int, x_TH: Tensor, step: BlockStep) -> None:
        small.append(len(x_TH) <= SHIFT_TOKENS)
        run(self, block, x_TH, step)

    def noted_cut(rows: list[int], how: Interleave) -> int | None:
        found = cut(rows, how)
        whole.append(found is None)
        return found

    monkeypatch.setattr(SharedTokens, "run", noted_run)
    module = "hexplan_runtime.runner.interleaved.interleaved_layers"
    monkeypatch.setattr(f"{module}.lane_cut", noted_cut)
    has_groups = name == IN_GROUPS
    change = partial(
        with_everything, shift_tokens=SHIFT_TOKENS, sp_degree=2 if has_groups else None
    )
    layout = Layout(FOURS if has_groups else STAGES, None, change, Queueing("mlfq", OFTEN))
    family, sizes = name.partition(" ")[0], FOUR_HEADS if has_groups else None
    folder = make_option(family, tmp_path / family, sizes)
    seen = check_layout(folder, layout, continuations(folder, FEW.get(name, MANY)))
    assert seen.swaps > 0
    ranks = 2 if has_groups else 3
    for modes in (small, whole):
        switches = sum(one != next for one, next in zip(modes, modes[1:], strict=False))
        assert switches > ranks * FEW.get(name, MANY) // 5
