"""A plan with joined hosts runs like any other: here one machine plays all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from support.clusters import host, link
from support.reference import clear_continuations, load_reference
from support.runtime_plans import make_plan

from hexplan.cluster import Cluster
from hexplan.joining import joined
from hexplan.plan import Plan
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request

NUM_TOKENS = 8


def joined_plan(plan: Plan) -> Plan:
    """Put the first stage, of two devices of one host, on two joined hosts of one device each."""
    cluster = plan.cluster
    (kind,) = cluster.device_types
    machines = [host(name, [kind.name], nic=10**9) for name in ("left", "right")]
    both: Cluster = joined(
        cluster.model_copy(
            update={
                "hosts": (*machines, *cluster.hosts),
                "links": (*cluster.links, link("here", "here")),
            }
        ),
        ("left", "right"),
    )
    first = plan.stages[0].model_copy(update={"host": "left"})
    return plan.model_copy(update={"cluster": both, "stages": (first, *plan.stages[1:])})


def test_joined_hosts_give_the_tokens_of_one_process(tiny: Callable[[str], Path]) -> None:
    folder = tiny("qwen3")
    plan = joined_plan(make_plan(read_model_folder(folder), [((0, 2), (1, 1)), ((2, 4), (1,))]))
    assert plan.cluster.host_by_name["left"].slots == (("left", 0), ("right", 0))
    expected = clear_continuations(load_reference(folder), 5, NUM_TOKENS)
    requests = [Request(continuation.prompt_ids, NUM_TOKENS) for continuation in expected]
    found: list[list[int]] = [[] for _ in expected]
    with Pipeline(plan, folder) as pipeline:
        for event in pipeline.generate(requests):
            found[event.request_index].append(event.token_id)
    assert [tuple(tokens) for tokens in found] == [c.token_ids for c in expected]
