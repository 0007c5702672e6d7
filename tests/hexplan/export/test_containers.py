"""Compose files, Kubernetes manifests and Slurm jobs, held against published schemas."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exported import (
    Link,
    addressed,
    bash_problem,
    chains_plan,
    closed,
    exported,
    pipeline_plan,
    require_schema,
    schema,
    scripts_of,
    three_shapes_plan,
)
from support.plan_parts import BIG, SMALL

from hexplan.errors import CannotExpress
from hexplan.export.options import Target

LWS = closed(schema("leaderworkerset-crd"))
DISAGGREGATED = closed(schema("disaggregatedset-crd"))
POD_TEMPLATE = LWS["properties"]["spec"]["properties"]["leaderWorkerTemplate"]["properties"][
    "leaderTemplate"
]
"""The published schema of pod templates, as the one of LeaderWorkerSet repeats it."""
HOSTILE = "/m/$(x) ${y} $$ 'q' \"r\" #: \\ é"


def manifests(text: str) -> dict[str, Any]:
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in yaml.safe_load_all(text)}


def test_compose_files_keep_to_the_published_schema() -> None:
    files = exported(pipeline_plan(), "compose", model="/models/tiny")
    assert set(files) == {"compose.a.yaml", "compose.b.yaml", "README.md"}
    for name in ("compose.a.yaml", "compose.b.yaml"):
        require_schema(yaml.safe_load(files[name]), schema("compose-spec"))
    found: Any = yaml.safe_load(files["compose.b.yaml"])["services"]
    assert set(found) == {"r0-node1", "r1-node0"}
    second = found["r1-node0"]
    reserved = second["deploy"]["resources"]["reservations"]["devices"]
    assert reserved == [{"driver": "nvidia", "device_ids": ["2", "3"], "capabilities": ["gpu"]}]
    words = second["entrypoint"]
    assert words[words.index("--device-ids") + 1] == "0,1"


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=20))
def test_compose_expands_nothing_in_a_model(model: str) -> None:
    plan = chains_plan((addressed("a", [BIG], None),), (Link("a", (0,), (0, 6)),))
    text = exported(plan, "compose", model=f"/{model}")["compose.a.yaml"]
    (service,) = yaml.safe_load(text)["services"].values()
    assert service["entrypoint"][2].replace("$$", "\0").count("$") == 0
    assert service["entrypoint"][2].replace("$$", "$") == f"/{model}"


def test_a_replica_of_two_shapes_is_a_leaderworkerset() -> None:
    files = exported(pipeline_plan(), "k8s", model=HOSTILE)
    found = manifests(files["hexplan-r0.yaml"])
    one = found["LeaderWorkerSet/hexplan-r0"]
    require_schema(one, LWS)
    template = one["spec"]["leaderWorkerTemplate"]
    leader = template["leaderTemplate"]["spec"]["containers"][0]
    worker = template["workerTemplate"]["spec"]["containers"][0]
    assert template["size"] == 2
    assert leader["command"][2] == HOSTILE.replace("$", "$$")
    assert "$(LWS_LEADER_ADDRESS)" in leader["command"]
    assert worker["command"][worker["command"].index("--node-rank") + 1] == "$(LWS_WORKER_INDEX)"
    assert {"name": "VLLM_PP_LAYER_PARTITION", "value": "4,2"} in worker["env"]
    assert leader["resources"]["limits"] == {"nvidia.com/gpu": 2}
    ports = found["Service/hexplan-r0"]["spec"]["ports"]
    assert ports[0]["port"] == 8000


def test_replicas_that_look_alike_are_one_deployment() -> None:
    hosts = [addressed(f"h{i}", [BIG], f"10.0.0.{i + 1}") for i in range(3)]
    plan = chains_plan(hosts, *((Link(h.name, (0,), (0, 6)),) for h in hosts))
    files = exported(plan, "k8s", model="/m")
    assert set(files) == {"hexplan-r0.yaml", "README.md"}
    spec = manifests(files["hexplan-r0.yaml"])["Deployment/hexplan-r0"]["spec"]
    assert spec["replicas"] == 3
    require_schema(spec["template"], POD_TEMPLATE)
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    affinity = spec["template"]["spec"]["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms[0]["matchExpressions"][0]["values"] == ["h0", "h1", "h2"]


def test_a_replica_of_three_shapes_is_a_disaggregatedset_with_a_name_to_meet_at() -> None:
    found = manifests(exported(three_shapes_plan(), "k8s", model="/m")["hexplan-r0.yaml"])
    one = found["DisaggregatedSet/hexplan-r0"]
    require_schema(one, DISAGGREGATED)
    assert [role["name"] for role in one["spec"]["roles"]] == ["node0", "node1", "node2"]
    for rank, role in enumerate(one["spec"]["roles"]):
        template = role["spec"]["leaderWorkerTemplate"]["workerTemplate"]
        command = template["spec"]["containers"][0]["command"]
        assert command[command.index("--master-addr") + 1] == "hexplan-r0-node0"
        assert command[command.index("--node-rank") + 1] == str(rank)
    meeting = found["Service/hexplan-r0-node0"]["spec"]
    assert meeting["publishNotReadyAddresses"] is True
    assert meeting["selector"]["app.kubernetes.io/component"] == "node0"


def test_llamacpps_main_pod_finds_its_rpc_servers_by_name() -> None:
    hosts = (addressed("a", [BIG], "10.0.0.1"), addressed("b", [BIG], "10.0.0.2"))
    plan = chains_plan(hosts, (Link("a", (0,), (0, 4)), Link("b", (0,), (4, 6))))
    files = exported(plan, "k8s", engine="llamacpp")
    found = manifests(files["hexplan-r0.yaml"])
    require_schema(found["DisaggregatedSet/hexplan-r0"], DISAGGREGATED)
    main = found["DisaggregatedSet/hexplan-r0"]["spec"]["roles"][1]["spec"]
    command = main["leaderWorkerTemplate"]["workerTemplate"]["spec"]["containers"][0]["command"]
    assert command[command.index("--rpc") + 1] == "hexplan-r0-rpc0:50052"
    assert "Service/hexplan-r0-rpc0" in found


@pytest.mark.parametrize("target", ["k8s", "slurm"])
def test_some_devices_of_a_mixed_host_are_refused(target: Target) -> None:
    hosts = (addressed("odd", [BIG, SMALL], "10.0.0.1"),)
    plan = chains_plan(hosts, (Link("odd", (0,), (0, 6)),))
    with pytest.raises(CannotExpress, match="by their type") as refused:
        exported(plan, target, model="/m")
    assert "write scripts instead" in (refused.value.hint or "")


def test_a_name_that_no_node_has_is_refused() -> None:
    plan = chains_plan((addressed("Big_1", [BIG], None),), (Link("Big_1", (0,), (0, 6)),))
    with pytest.raises(CannotExpress, match="a Kubernetes node"):
        exported(plan, "k8s", model="/m")


def test_a_relative_model_is_refused_in_containers() -> None:
    for target in ("compose", "k8s"):
        with pytest.raises(CannotExpress, match="from the root on"):
            exported(pipeline_plan(), target, model="./models/tiny")


def test_a_slurm_job_has_a_component_for_each_kind_of_host() -> None:
    hosts = (
        addressed("a", [BIG, BIG], "10.0.0.1"),
        addressed("b", [BIG, BIG], None),
        addressed("c", [SMALL, SMALL], None),
    )
    links = [Link(n, (0, 1), (2 * i, 2 * i + 2)) for i, n in enumerate("abc")]
    files = scripts_of(exported(chains_plan(hosts, links), "slurm", model=HOSTILE))
    text = files["hexplan-r0.sbatch"]
    directives = [line for line in text.splitlines() if line.startswith("#SBATCH")]
    assert directives[2:] == [
        "#SBATCH --nodes=2",
        "#SBATCH --nodelist=a,b",
        "#SBATCH --ntasks-per-node=1",
        "#SBATCH --gpus-per-node=2",
        "#SBATCH hetjob",
        "#SBATCH --nodes=1",
        "#SBATCH --nodelist=c",
        "#SBATCH --ntasks-per-node=1",
        "#SBATCH --gpus-per-node=2",
    ]
    assert "srun --het-group=0,1 --kill-on-bad-exit=1" in text
    assert bash_problem(text) == ""


def test_hosts_at_several_sites_are_no_slurm_job() -> None:
    hosts = (addressed("a", [BIG], "10.0.0.1"), addressed("b", [BIG], "10.0.0.2", site="far"))
    plan = chains_plan(hosts, (Link("a", (0,), (0, 3)), Link("b", (0,), (3, 6))))
    with pytest.raises(CannotExpress, match="runs in one cluster"):
        exported(plan, "slurm", model="/m")
