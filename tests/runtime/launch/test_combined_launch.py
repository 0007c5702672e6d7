"""One launch, with processes of its own, in which every technique that may be combined switches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.generating import is_empty, tokens_of
from support.processes import wait_until
from support.reference import clear_continuations, load_reference
from support.runtime_plans import make_plan, with_everything

from hexplan.reading.model_folder.folder import read_model_folder
from hexplan.schedule.queueing.params import QUEUE_PARAMS, Queueing
from hexplan.step_limits import StepLimits
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request

pytestmark = pytest.mark.slow

NUM_TOKENS = 14
OFTEN = replace(QUEUE_PARAMS, first_quantum_decodes=1, quantum_growth=1.3, host_share=3.0)
"""Requests make way all the time."""


@pytest.mark.parametrize("family", ["llama3", "qwen3"])
def test_tokens_are_those_of_transformers(tiny: Callable[[str], Path], family: str) -> None:
    folder = tiny(family)
    found = clear_continuations(load_reference(folder), 16, NUM_TOKENS)
    shares = (1, 1) if family == "llama3" else (1, 1, 1)
    plan = make_plan(
        read_model_folder(folder),
        [((0, 1), shares), ((1, 2), shares), ((2, 4), (1,))],
        kv_tokens=260,
        step_limits=StepLimits(tokens=24, decodes=8),
    )
    with Pipeline(with_everything(plan, 6), folder, queue=Queueing("mlfq", OFTEN)) as pipeline:
        requests = [Request(one.prompt_ids, NUM_TOKENS) for one in found]
        assert tokens_of(pipeline, requests) == [one.token_ids for one in found]
        assert pipeline.core.snapshot().swaps > 0
        assert wait_until(lambda: is_empty(pipeline.core))
