"""The command `export`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.shell import Shell

from hexplan.plan import Plan
from hexplan.plan_file import write_plan
from hexplan.reading import read_spec
from hexplan_solver import SolveOptions, solve

SPEC = """
version: 1
name: pair
model: qwen3-0.6b
objective: throughput
workload: {prompt_tokens: {mean: 64, max: 128}, output_tokens: {mean: 64, max: 128}}
hosts:
  - {name: "l4-[0-1]", site: lab, devices: 2 x L4, interconnect: pcie4, nic: 10Gbps,
     address: "10.0.0.[1-2]"}
coordinator: {site: lab, nic: 10Gbps}
links: [{within: lab, bandwidth: 10Gbps, latency: 0.2ms}]
limits: {engine: vllm}
"""


@pytest.fixture(scope="module")
def pair_plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    path = tmp_path_factory.mktemp("pair") / "cluster.yaml"
    path.write_text(SPEC)
    return solve(read_spec(path), SolveOptions(time_limit_s=1))


@pytest.fixture
def pair_file(pair_plan: Plan, tmp_path: Path) -> Path:
    path = tmp_path / "pair.json"
    write_plan(pair_plan, path)
    return path


TARGETS = ("vllm", "sglang", "compose", "k8s", "slurm", "nginx", "envoy", "httproute")


@pytest.mark.parametrize("target", TARGETS)
def test_a_solved_plan_goes_into_a_folder_with_a_readme(
    hexplan: Shell, pair_file: Path, tmp_path: Path, target: str
) -> None:
    folder = tmp_path / "out"
    ran = hexplan("export", target, pair_file, "--model", "/models/qwen", "-o", folder)
    assert (ran.code, ran.out) == (0, ""), ran.err
    assert f"into {folder}" in ran.err.replace("\n", "")
    assert (folder / "README.md").read_text().startswith("# qwen3-0.6b ")
    for script in [*folder.glob("*.sh"), *folder.glob("*.sbatch")]:
        assert script.stat().st_mode & 0o777 == 0o755
        assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


def test_files_are_not_overwritten_unasked(hexplan: Shell, pair_file: Path, tmp_path: Path) -> None:
    words = ("export", "nginx", pair_file, "--model", "/m", "-o", tmp_path / "out")
    assert hexplan(*words).code == 0
    refused = hexplan(*words)
    assert refused.code == 2
    assert "--force" in refused.err
    assert hexplan(*words, "--force").code == 0


def test_nothing_is_written_if_the_plan_cannot_be_expressed(
    hexplan: Shell, plan_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    refused = hexplan("export", "vllm", plan_file, "--model", "/m", "-o", folder)
    assert refused.code == 4
    assert "stage s0: it is in 2 routes" in refused.err
    assert "--disjoint" in refused.err
    assert not folder.exists()


def test_a_plan_that_breaks_a_rule_is_not_exported(
    hexplan: Shell, broken_plan_file: Path, tmp_path: Path
) -> None:
    refused = hexplan("export", "vllm", broken_plan_file, "--model", "/m", "-o", tmp_path / "out")
    assert refused.code == 4
    assert "breaks a rule" in refused.err


@pytest.mark.parametrize(
    "words",
    [
        ("vllm", "--engine", "sglang"),
        ("compose", "--engine", "hexplan"),
        ("nginx", "--listen", "0.0.0.0:80"),
        ("nginx", "--listen", "[::]:80"),
        ("nginx", "--listen", "here"),
        ("nginx", "--listen", "127.0.0.1:70000"),
        ("httproute", "--gateway", "a b"),
        ("vllm", "--port", "65535"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    hexplan: Shell, pair_file: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    target, *options = words
    ran = hexplan("export", target, pair_file, "--model", "/m", "-o", tmp_path / "o", *options)
    assert ran.code == 2
    assert f"{options[0]}: found" in ran.err


def test_a_model_without_a_path_has_to_be_named(
    hexplan: Shell, pair_file: Path, tmp_path: Path
) -> None:
    refused = hexplan("export", "vllm", pair_file, "-o", tmp_path / "out")
    assert refused.code == 4
    assert "--model NAME" in refused.err


def test_hexplans_own_agents_are_started_by_srun_with_the_words_of_ssh(
    hexplan: Shell, pair_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    ran = hexplan("export", "slurm", pair_file, "--engine", "hexplan", "-o", folder)
    assert ran.code == 0, ran.err
    assert hexplan("check", folder / "plan.json").code == 0
    # What stands in for Slurm prints the words that it gets, and passes stdin on.
    (tmp_path / "srun").write_text("#!/bin/bash\nprintf '%s\\n' \"$@\"\ncat\n")
    (tmp_path / "srun").chmod(0o755)
    words = ("python3", "-P", "-m", "hexplan_runtime.agent.main")
    told = subprocess.run(
        [folder / "srun-as-ssh.sh", "10.0.0.2", *words],
        input="a secret\n",
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert told[0] == "--nodelist=l4-1"
    assert told[-5:] == [*words, "a secret"]
    unknown = subprocess.run([folder / "srun-as-ssh.sh", "10.0.0.9", "true"], check=False)
    assert unknown.returncode == 255


def test_the_help_keeps_its_lines(hexplan: Shell) -> None:
    told = hexplan("export", "--help").out.splitlines()
    assert "  vllm, sglang, llamacpp   a script for each process" in told
    assert not any("\\b" in line for line in told)
