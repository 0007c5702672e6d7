"""A launch of four ranks, of which two hold each KV head, in processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.generating import tokens_of
from support.reference import clear_continuations, load_reference
from support.runtime_plans import make_plan, sharing
from support.tiny_models import TWO_HEADS, make_option

from hexplan.cost import StageShape
from hexplan.cost.memory import memory_needs
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan.spec import Spec
from hexplan.step_limits import StepLimits
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request, Sampling

NUM_TOKENS = 12


@pytest.mark.parametrize("shift_tokens", [None, 6], ids=["tp", "shift"])
def test_ranks_with_copies_give_the_tokens_of_one_process_and_hold_what_the_plan_counts(
    tmp_path: Path, shift_tokens: int | None
) -> None:
    folder = make_option("qwen2", tmp_path, TWO_HEADS)
    found = clear_continuations(load_reference(folder), 8, NUM_TOKENS)
    limits = StepLimits(tokens=32, decodes=8)
    plan = make_plan(read_model_folder(folder), [((0, 4), (1, 1, 1, 1))], step_limits=limits)
    plan = plan if shift_tokens is None else sharing(plan, shift_tokens)
    (stage,) = plan.stages
    spec = Spec(plan.cluster, plan.model, plan.workload)
    needs = memory_needs(spec, StageShape.of(plan, stage))
    requests = [Request(one.prompt_ids, NUM_TOKENS, Sampling()) for one in found]
    with Pipeline(plan, folder) as pipeline:
        assert tokens_of(pipeline, requests) == [one.token_ids for one in found]
        held = [rank.weights_bytes for rank in pipeline.stats]
        assert held == [need.weights_bytes for need in needs]
        kv_bytes = [stage.kv_tokens * need.kv_token_bytes for need in needs]
        assert [rank.kv_bytes for rank in pipeline.stats] == kv_bytes
