"""Launches over an emulated link: whether ranks hear of the link at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.runtime_plans import make_plan

from hexplan.errors import InputError
from hexplan.model import Model
from hexplan_runtime.launch.pipeline import Pipeline


def test_ranks_refuse_an_emulated_link_that_says_nothing(
    llama: Path, llama_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEXPLAN_EMULATED_LINK", "slow")
    plan = make_plan(llama_model, [((0, 4), (1, 1))])
    message = "HEXPLAN_EMULATED_LINK: found 'slow', needed such as 50MB/s,500us"
    with pytest.raises(InputError, match=message), Pipeline(plan, llama):
        pass
