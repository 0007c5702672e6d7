"""One server that the tests share: two stages of the trained model, one on two devices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.runtime_plans import make_plan
from support.serving import TEMPLATE, Served, served

from hexplan.model import Model
from hexplan_runtime.serve.settings import ServeSettings


@pytest.fixture(scope="package")
def austen_server(austen: Path, austen_model: Model) -> Iterator[Served]:
    """Give a server of the trained model, with a chat template of its own."""
    plan = make_plan(austen_model, [((0, 3), (2, 1)), ((3, 6), (1,))], kv_tokens=4096)
    settings = ServeSettings("austen-3m", chat_template=TEMPLATE, has_vllm_metrics=True)
    with served(plan, austen, settings) as running:
        yield running
