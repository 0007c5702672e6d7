"""A launch over a link that compresses activations: nearly the same, and not exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.across import NAMES, plan_across

from hexplan.field_types import Compression
from hexplan.model import Model
from hexplan.plan import Plan
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request, Sampling

PROMPTS = [tuple(range(first, first + 24)) for first in range(5, 105, 5)]


def plan_of(model: Model, compress: Compression) -> Plan:
    """Return a plan of two stages on two hosts, whose link compresses or not."""
    plan = plan_across(model, [((0, 3), (1,)), ((3, 6), (1,))], ["10.0.0.1", "10.0.0.2"])
    hosts = [host.model_copy(update={"address": None}) for host in plan.cluster.hosts]
    within = plan.cluster.links[0]
    ends = {"source": NAMES[0], "target": NAMES[1], "compress": compress}
    links = within, within.model_copy(update=ends)
    cluster = plan.cluster.model_copy(update={"hosts": tuple(hosts), "links": links})
    return plan.model_copy(update={"cluster": cluster, "cluster_sha256": cluster.sha256})


@pytest.fixture(scope="module")
def likeliest(austen: Path, austen_model: Model) -> dict[Compression, dict[int, dict[int, float]]]:
    """Return the logarithms of the probabilities of each prompt's likeliest next tokens."""
    found: dict[Compression, dict[int, dict[int, float]]] = {}
    hows: tuple[Compression, ...] = ("none", "int8")
    for how in hows:
        asked = [Request(ids, 1, Sampling(top_logprobs=20)) for ids in PROMPTS]
        with Pipeline(plan_of(austen_model, how), austen) as pipeline:
            told = {event.request_index: event.logprobs for event in pipeline.generate(asked)}
        found[how] = {}
        for index, logprobs in told.items():
            assert logprobs is not None
            found[how][index] = {one.token_id: one.logprob for one in logprobs.likeliest}
    return found


def test_probabilities_are_off_by_little_where_activations_are_compressed(
    likeliest: dict[Compression, dict[int, dict[int, float]]],
) -> None:
    plain, compressed = likeliest["none"], likeliest["int8"]
    off = [
        abs(plain[index][token] - compressed[index][token])
        for index in range(len(PROMPTS))
        for token in list(plain[index])[:5]
    ]
    assert max(off) < 0.3
    assert max(off) > 0
