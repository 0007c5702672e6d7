"""Lanes and shared tokens on two GPUs; no machine with two was at hand, so these have never run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.generating import tokens_of
from support.reference import clear_continuations, load_reference
from support.runtime_plans import interleaving, make_plan, sharing

from hexplan.plan import Plan
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan.step_limits import StepLimits
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request

pytestmark = pytest.mark.skipif(
    torch.cuda.device_count() < 2, reason="needs two CUDA devices: NCCL takes one rank on each"
)
NEW = 12
WAYS: dict[str, Callable[[Plan], Plan]] = {
    "two lanes": lambda plan: interleaving(plan, from_tokens=4),
    "shift": lambda plan: sharing(plan, 6),
}


def on_gpus(plan: Plan) -> Plan:
    """Return the plan with its devices being CUDA devices."""
    kinds = tuple(d.model_copy(update={"kind": "cuda"}) for d in plan.cluster.device_types)
    cluster = plan.cluster.model_copy(update={"device_types": kinds})
    return plan.model_copy(update={"cluster": cluster, "cluster_sha256": cluster.sha256})


@pytest.mark.parametrize("way", WAYS)
def test_two_gpus_give_the_tokens_of_transformers(tiny: Callable[[str], Path], way: str) -> None:
    """Sums of lanes go over an NCCL group of their own, whose stream runs beside the computing."""
    folder = tiny("llama3")
    found = clear_continuations(load_reference(folder), 12, NEW)
    limits = StepLimits(tokens=32, decodes=8)
    plan = make_plan(read_model_folder(folder), [((0, 4), (1, 1))], step_limits=limits)
    with Pipeline(on_gpus(WAYS[way](plan)), folder) as pipeline:
        tokens = tokens_of(pipeline, [Request(one.prompt_ids, NEW) for one in found])
    assert tokens == [one.token_ids for one in found]
