"""A launch whose ranks share out tokens in groups, in processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.generating import tokens_of
from support.reference import clear_continuations, load_reference
from support.runtime_plans import make_plan, sharing
from support.tiny_models import FOUR_HEADS, make_option

from hexplan.cost import StageShape
from hexplan.cost.memory import memory_needs
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan.spec import Spec
from hexplan.step_limits import StepLimits
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request

pytestmark = pytest.mark.slow

NUM_TOKENS = 12


@pytest.mark.parametrize("shift_tokens", [None, 6], ids=["sp", "shift"])
def test_two_groups_of_two_ranks_give_the_tokens_of_one_process_and_hold_what_the_plan_counts(
    tmp_path: Path, shift_tokens: int | None
) -> None:
    folder = make_option("llama-biases", tmp_path / "four", FOUR_HEADS)
    found = clear_continuations(load_reference(folder), 12, NUM_TOKENS)
    limits = StepLimits(tokens=24, decodes=8)
    bare = make_plan(read_model_folder(folder), [((0, 4), (1,) * 4)], step_limits=limits)
    plan = sharing(bare, shift_tokens, sp_degree=2)
    with Pipeline(plan, folder) as pipeline:
        requests = [Request(one.prompt_ids, NUM_TOKENS) for one in found]
        assert tokens_of(pipeline, requests) == [one.token_ids for one in found]
        spec = Spec(plan.cluster, plan.model, plan.workload)
        needs = memory_needs(spec, StageShape.of(plan, plan.stages[0]))
        held = [rank.weights_bytes for rank in pipeline.stats]
        assert held == [one.weights_bytes for one in needs]
