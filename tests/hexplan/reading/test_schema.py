from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from support.plans import profiled_plan, two_hosts_plan, two_sites_plan
from support.specs import TWO_NODES, two_nodes

from hexplan.catalog.shipped import find_model
from hexplan.files.yaml_reader import parse_yaml, read_yaml
from hexplan.plan_file import plan_json
from hexplan.reading.schema import DESCRIBED, schema_json

ROOT = Path(__file__).parents[2]


def validator(which: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema_json(which)))


def is_valid_cluster(text: str) -> bool:
    return validator("cluster").is_valid(parse_yaml(text, "cluster.yaml").data)


@pytest.mark.parametrize("which", DESCRIBED)
def test_each_schema_is_one(which: str) -> None:
    Draft202012Validator.check_schema(json.loads(schema_json(which)))
    assert schema_json(which) == schema_json(which)
    assert schema_json(which).endswith("}\n")


@pytest.mark.parametrize("which", DESCRIBED)
def test_each_field_has_a_description(which: str) -> None:
    schema = json.loads(schema_json(which))
    nouns = [schema, *schema.get("$defs", {}).values()]
    fields = [
        field
        for noun in nouns
        for field in (noun, *noun.get("properties", {}).values())
        if "$ref" not in field  # which is described where it stands
    ]
    assert len(fields) > len(nouns)
    assert [field for field in fields if not field.get("description")] == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "cluster_specs").glob("*.yaml")), ids=lambda p: p.stem
)
def test_the_examples_fit_the_schema(path: Path) -> None:
    validator("cluster").validate(read_yaml(path).data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("devices: L4", "devices: [2 x L4, T4]"),
        ("nic: 25Gbps", "nic: {in: 25Gbps, out: 3.1 GB/s}"),
        ("interconnect: nvlink", "interconnect: {bandwidth: 300GB/s, latency: 8us}"),
        ("within: lab", "between: [big, coordinator]"),
        ("within: lab", "from: big\n    to: coordinator"),
        ("model: llama-2-7b", "model: {path: models/mine, dtype: float32}"),
        ("name: two-nodes", "name: x\nlimits: {time: 30s, memory_fraction: 90%}"),
        ("name: two-nodes", "name: x\nlimits: {memory_fraction: 0.9}"),
        ("name: two-nodes", "name: x\npin: [{exclude: big/0}, {host: big, layers: [0, 3]}]"),
        ("name: two-nodes", "name: x\ndevices: {cpu: {kind: cpu, compute: 50 GFLOP/s}}"),
    ],
)
def test_each_form_of_a_field_fits_the_schema(old: str, new: str) -> None:
    assert is_valid_cluster(TWO_NODES)
    assert is_valid_cluster(two_nodes(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: two-nodes", "nam: two-nodes"),  # unknown
        ("    nic: 25Gbps\n", ""),  # missing
        ("nic: 25Gbps", "nic: 25"),  # no unit
        ("nic: 25Gbps", "nic: 25gbps"),  # wrong unit
        ("nic: 25Gbps", "nic: {in: 25Gbps}"),  # half
        ("latency: 0.1ms", "latency: 0.1"),  # no unit
        ("within: lab", "from: big"),  # half
        ("within: lab", "within: lab\n    between: [big, small]"),  # two forms
        ("within: lab", "between: [big, small, lab]"),  # too many
        ("interconnect: nvlink", "interconnect: nvlnk"),  # unknown name
        ("output_tokens: 128", "output_tokens: 0"),  # not positive
        ("version: 1", "version: 2"),  # newer
        ("devices: L4", "devices: []"),  # empty
        ("name: two-nodes", "name: x\nobjective: speed"),  # unknown objective
        ("  output_tokens: 128", "  output_tokens: 128\n  trace: t.csv"),  # two forms
        ("  nic: 25Gbps", "  nic: 25Gbps\n    price: 2 EUR/h"),  # unknown currency
        ("name: two-nodes", "name: x\npin: [{host: big}]"),  # half
    ],
)
def test_what_the_schema_refuses_the_reader_would_refuse(old: str, new: str) -> None:
    assert not is_valid_cluster(two_nodes(old, new))


@pytest.mark.parametrize(
    "path", sorted((ROOT / "cluster_specs" / "profiles").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_profiles_fit_the_schema(path: Path) -> None:
    data = read_yaml(path).data
    validator("profile").validate(data)
    assert not validator("profile").is_valid({**data, "stages": []})


def test_written_plans_fit_the_schema() -> None:
    for plan in (two_hosts_plan(), profiled_plan(), two_sites_plan()):
        validator("plan").validate(json.loads(plan_json(plan)))


def test_a_plan_without_stages_does_not_fit_the_schema() -> None:
    plan = json.loads(plan_json(two_hosts_plan()))
    del plan["stages"]
    assert not validator("plan").is_valid(plan)


def test_a_model_of_the_catalog_fits_the_schema() -> None:
    model = find_model("llama-2-7b")
    assert model is not None
    validator("model").validate(json.loads(model.model_dump_json(exclude_none=True)))
    assert not validator("model").is_valid({"name": "x", "layers": 0})
