"""Stages with KV in host memory in one pipeline: tokens, while requests make way all the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from support.runtime_plans import StageSpec, offloading
from support.token_matrix import Layout, check_layout, continuations

from hexplan.schedule.queueing.params import QUEUE_PARAMS, Queueing
from hexplan_runtime.runner.kv_offload.host_link import HostLink

pytestmark = pytest.mark.slow

OFTEN = replace(QUEUE_PARAMS, first_quantum_decodes=1, quantum_growth=1.3, host_share=3.0)
TWO: list[StageSpec] = [((0, 2), (1, 1)), ((2, 4), (1,))]


@pytest.mark.parametrize("fraction", ["1", "0.999"], ids=["all", "all pages, as chosen"])
def test_tokens_are_those_of_transformers_with_tp_shared_prompts_and_queues(
    tiny: Callable[[str], Path], fraction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = HostLink()
    monkeypatch.setattr("hexplan_runtime.runner.choose.host_link", lambda: link)
    layout = Layout(TWO, None, partial(offloading, fraction=fraction), Queueing("mlfq", OFTEN))
    seen = check_layout(tiny("llama"), layout, continuations(tiny("llama"), 30))
    assert seen.swaps > 0
    assert sum(stage.hit_tokens for stage in seen.kv) > 0
    assert 0 < link.ahead_bytes < link.fetched_bytes
    assert link.stored_bytes > 0
