"""Launches with keys and values in host memory, in processes of their own; and those refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.generating import tokens_of
from support.processes import wait_until
from support.reference import clear_continuations, load_reference
from support.runtime_plans import StageSpec, interleaving, make_plan, offloading, sharing

from hexplan.errors import InputError
from hexplan.model import Model
from hexplan.plan import Plan
from hexplan_runtime.applying.view import Current
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.launch.supported import require_supported
from hexplan_runtime.request import Request
from hexplan_runtime.runner.kv_offload.host_link import EMULATED_HOST_LINK, host_link
from hexplan_runtime.serve.metrics import Metrics

NUM_TOKENS = 12
FOUR: list[StageSpec] = [((0, 4), (1, 1, 1))]


def test_a_launch_says_what_transformers_says_and_tells_what_it_fetched(
    austen: Path, austen_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(EMULATED_HOST_LINK, "2GB/s")
    plan = offloading(make_plan(austen_model, [((0, 6), (1,))]), "1")
    wanted = clear_continuations(load_reference(austen), 6, NUM_TOKENS)
    with Pipeline(plan, austen) as pipeline:
        found = tokens_of(pipeline, [Request(one.prompt_ids, NUM_TOKENS) for one in wanted])
        assert found == [one.token_ids for one in wanted]
        assert wait_until(lambda: bool(pipeline.core.snapshot().host))
        (told,) = pipeline.core.snapshot().host
        page, _ = Metrics(Current(plan, pipeline.core), "austen", has_vllm_names=False).page("")
    assert told.stage == "s0"
    assert told.fetched_bytes >= told.ahead_bytes > 0
    assert b'hexplan_stage_host_fetched_bytes_total{stage="s0"}' in page
    assert b'hexplan_stage_host_waited_seconds_total{stage="s0"}' in page


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (lambda model: sharing(make_plan(model, FOUR)), "host memory, but it is sp"),
        (lambda model: interleaving(make_plan(model, FOUR)), "but it interleaves"),
        (lambda model: make_plan(model, [((0, 1), (1,)), ((1, 4), (1,))]), "layers 0 to 1"),
        (
            lambda model: make_plan(
                model,
                [((0, 2), (1,)), ((0, 3), (1,)), ((2, 4), (1,))],
                [([0, 2], 50), ([1, 2], 50)],
            ),
            "a route enters inside it",
        ),
        (
            lambda model: make_plan(model.model_copy(update={"family": "gemma"}), [((0, 4), (1,))]),
            "layers of a gemma model are those of transformers",
        ),
    ],
    ids=["sp", "interleaved", "one layer", "inside", "foreign family"],
)
def test_stages_that_could_not_fetch_are_refused_with_the_reason(
    llama_model: Model, plan: object, reason: str
) -> None:
    assert callable(plan)
    made: Plan = plan(llama_model)
    with pytest.raises(InputError, match=reason) as caught:
        require_supported(offloading(made, "0.5"))
    assert "kv_offload: off" in str(caught.value.hint)


def test_an_emulated_link_needs_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EMULATED_HOST_LINK, "fast")
    with pytest.raises(InputError, match="found 'fast', needed a bandwidth such as 2GB/s"):
        host_link()
