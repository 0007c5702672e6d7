"""Scripts of vLLM, SGLang and llama.cpp: what they run, read back as bash reads them."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exported import (
    DATA,
    Link,
    addressed,
    bash_problem,
    bash_words,
    chains_plan,
    exported,
    exports_of,
    pipeline_plan,
    scripts_of,
    three_shapes_plan,
    words_of,
)
from support.plan_parts import BIG, SMALL

from hexplan.errors import CannotExpress
from hexplan.export.options import Target

SCRIPTS: tuple[Target, ...] = ("vllm", "sglang", "llamacpp")
FLAGS = {
    "vllm": "vllm-0.33.0-flags.txt",
    "sglang": "sglang-0.5.23-flags.txt",
    "llamacpp": "llamacpp-b11434-flags.txt",
}
"""Options that the engines' own parsers state; a slow test asks the parsers themselves."""


def value(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


def test_vllm_runs_one_command_on_each_machine_of_a_replica() -> None:
    files = scripts_of(exported(pipeline_plan(), "vllm"))
    assert list(files) == ["r0-node0-a.sh", "r0-node1-b.sh", "r1-node0-b.sh"]
    head, worker, alone = map(words_of, files.values())
    assert head[:3] == ["vllm", "serve", "/models/tiny"]
    for rank, words in enumerate((head, worker)):
        assert value(words, "--tensor-parallel-size") == "2"
        assert value(words, "--pipeline-parallel-size") == "2"
        assert value(words, "--nnodes") == "2"
        assert value(words, "--node-rank") == str(rank)
        assert value(words, "--master-addr") == "10.0.0.1"
    assert "--headless" in worker and "--headless" not in head
    assert (value(head, "--host"), value(head, "--port")) == ("10.0.0.1", "8000")
    assert (value(alone, "--host"), value(alone, "--port")) == ("10.0.0.2", "8001")
    assert "--nnodes" not in alone
    assert value(worker, "--device-ids") == "0,1"
    assert value(alone, "--device-ids") == "2,3"
    assert value(head, "--max-model-len") == "150"
    first, second, third = map(exports_of, files.values())
    assert first == {"VLLM_HOST_IP": "10.0.0.1", "VLLM_PP_LAYER_PARTITION": "4,2"}
    assert second == {"VLLM_HOST_IP": "10.0.0.2", "VLLM_PP_LAYER_PARTITION": "4,2"}
    assert third == {"VLLM_HOST_IP": "10.0.0.2"}


def test_sglang_is_told_the_same_in_its_own_words() -> None:
    files = scripts_of(exported(pipeline_plan(), "sglang"))
    head, worker, alone = map(words_of, files.values())
    assert head[:3] == ["python3", "-m", "sglang.launch_server"]
    assert value(worker, "--dist-init-addr") == "10.0.0.1:29501"
    assert (value(worker, "--nnodes"), value(worker, "--node-rank")) == ("2", "1")
    assert (value(worker, "--tp-size"), value(worker, "--pp-size")) == ("2", "2")
    assert (value(alone, "--tp-size"), value(alone, "--pp-size")) == ("2", "1")
    first, _, third = map(exports_of, files.values())
    assert first["SGLANG_PP_LAYER_PARTITION"] == "4,2"
    assert third["CUDA_VISIBLE_DEVICES"] == "2,3"


def test_llamacpp_splits_layers_over_rpc_servers_and_counts_the_output() -> None:
    hosts = (addressed("a", [BIG, SMALL], "10.0.0.1"), addressed("b", [BIG], "10.0.0.2"))
    links = (Link("a", (1,), (0, 1)), Link("a", (0,), (1, 4)), Link("b", (0,), (4, 6)))
    files = scripts_of(exported(chains_plan(hosts, links), "llamacpp"))
    assert list(files) == ["r0-rpc0-a.sh", "r0-rpc1-a.sh", "r0-main-b.sh"]
    first, second, main = map(words_of, files.values())
    assert first[0] == "ggml-rpc-server"
    assert (value(first, "--device"), value(first, "--port")) == ("CUDA1", "50052")
    assert (value(second, "--device"), value(second, "--port")) == ("CUDA0", "50053")
    assert value(main, "--rpc") == "10.0.0.1:50052,10.0.0.1:50053"
    assert value(main, "--device") == "RPC0,RPC1,CUDA0"
    assert value(main, "--tensor-split") == "1,3,3"
    assert value(main, "--n-gpu-layers") == "7"
    assert value(main, "--host") == "10.0.0.2"
    assert "/dev/tcp/10.0.0.1/50053" in files["r0-main-b.sh"]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_llamacpps_own_rule_puts_each_layer_where_the_plan_does(counts: list[int]) -> None:
    # The rule of src/llama-model.cpp: the first device whose cumulated share exceeds l / (L + 1).
    layers = sum(counts)
    proportions = [*counts[:-1], counts[-1] + 1]
    whole = np.float32(layers + 1)
    borders = np.cumsum(proportions).astype(np.float32) / whole
    device = np.searchsorted(borders, np.arange(layers).astype(np.float32) / whole, side="right")
    assert [len(list(group)) for _, group in groupby(device)] == counts


@pytest.mark.parametrize("target", SCRIPTS)
def test_each_option_is_one_that_the_engine_has(target: Target) -> None:
    known = set((DATA / FLAGS[target]).read_text().split())
    used = set()
    plan = pipeline_plan()
    if target == "llamacpp":
        hosts = (addressed("a", [BIG], "10.0.0.1"), addressed("b", [BIG], "10.0.0.2"))
        plan = chains_plan(hosts, (Link("a", (0,), (0, 4)), Link("b", (0,), (4, 6))))
    for name, text in scripts_of(exported(plan, target)).items():
        if "-rpc" not in name:
            used |= {word for word in words_of(text) if word.startswith("--")}
    assert len(used) > 10
    assert used <= known


def test_a_replica_on_one_machine_without_address_listens_on_the_loopback_one() -> None:
    plan = chains_plan((addressed("a", [BIG], None),), (Link("a", (0,), (0, 6)),))
    (script,) = scripts_of(exported(plan, "vllm")).values()
    assert value(words_of(script), "--host") == "127.0.0.1"


def test_machines_without_addresses_are_refused_with_a_way_out() -> None:
    hosts = (addressed("a", [BIG], "10.0.0.1"), addressed("b", [BIG], None))
    plan = chains_plan(hosts, (Link("a", (0,), (0, 3)), Link("b", (0,), (3, 6))))
    with pytest.raises(CannotExpress, match="host b has no address") as refused:
        exported(plan, "vllm")
    assert "`address` in cluster.yaml" in (refused.value.hint or "")


@pytest.mark.parametrize(
    ("target", "model", "why"),
    [
        ("vllm", "-x", "takes for an option"),
        ("vllm", "a\nb", "one line of printable text"),
        ("llamacpp", "/models/tiny", "ends with .gguf"),
    ],
)
def test_a_model_that_could_be_misread_is_refused(target: Target, model: str, why: str) -> None:
    plan = chains_plan((addressed("a", [BIG], None),), (Link("a", (0,), (0, 6)),))
    with pytest.raises(CannotExpress, match=why):
        exported(plan, target, model=model)


def test_several_degrees_or_unequal_hosts_are_refused_by_name() -> None:
    hosts = (addressed("a", [BIG] * 2, "10.0.0.1"), addressed("b", [BIG], "10.0.0.2"))
    plan = chains_plan(hosts, (Link("a", (0, 1), (0, 3)), Link("b", (0,), (3, 6))))
    with pytest.raises(CannotExpress, match="s0 has 2, s1 has 1") as refused:
        exported(plan, "vllm")
    assert "limits: {engine: vllm}" in (refused.value.hint or "")


def test_ipv6_is_refused_where_llamacpp_cannot_read_it_and_else_written_in_brackets() -> None:
    hosts = (addressed("a", [BIG], "fd00::1"), addressed("b", [BIG], "fd00::2"))
    plan = chains_plan(hosts, (Link("a", (0,), (0, 3)), Link("b", (0,), (3, 6))))
    with pytest.raises(CannotExpress, match="reads no IPv6"):
        exported(plan, "llamacpp")
    script = scripts_of(exported(plan, "sglang"))["r0-node1-b.sh"]
    assert value(words_of(script), "--dist-init-addr") == "[fd00::1]:29501"


HOSTILE = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=30)


@settings(max_examples=40, deadline=None)
@given(HOSTILE, st.sampled_from(["vllm", "sglang"]))
def test_any_printable_model_reaches_the_engine_unchanged(model: str, target: Target) -> None:
    plan = chains_plan((addressed("a", [BIG], None),), (Link("a", (0,), (0, 6)),))
    if model.startswith("-") or not model.isprintable():
        with pytest.raises(CannotExpress):
            exported(plan, target, model=model)
        return
    (script,) = scripts_of(exported(plan, target, model=model)).values()
    assert model in words_of(script)


def test_bash_reads_scripts_with_a_hostile_model() -> None:
    model = """/m/$(echo x)`id`'"\\ ; false * ~ {a,b} !! #|&<>"""
    for target in SCRIPTS[:2]:
        for text in scripts_of(exported(pipeline_plan(), target, model=model)).values():
            assert bash_problem(text) == ""
            assert model in bash_words(text)


@pytest.mark.parametrize("name", ["../up", "a b", "a;b", "$(x)", "-a", "a\nb", ""])
def test_a_hostile_host_name_is_refused(name: str) -> None:
    plan = chains_plan((addressed(name, [BIG], None),), (Link(name, (0,), (0, 6)),))
    with pytest.raises(CannotExpress, match="host name"):
        exported(plan, "vllm")


@pytest.mark.parametrize("address", ["a b", "$(x)", "-oProxyCommand=x", "a;b", "x{}", "[::1]"])
def test_a_hostile_address_is_refused(address: str) -> None:
    plan = chains_plan((addressed("a", [BIG], address),), (Link("a", (0,), (0, 6)),))
    for target in ("vllm", "nginx", "envoy"):
        with pytest.raises(CannotExpress, match="needed an IP or DNS name"):
            exported(plan, target, model="/m")


def test_the_readme_says_what_runs_where(tmp_path: Path) -> None:
    files = exported(three_shapes_plan(), "vllm")
    readme = files["README.md"]
    for name in scripts_of(files):
        assert name in readme
    assert "curl --fail http://10.0.0.1:8000/health" in readme
    assert "| r0 | 100.00% | s0 | 0 to 1 | a | 0 |" in readme
