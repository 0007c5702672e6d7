"""`hexplan profile` from outside: the file it writes, that plans rest on it, and its mistakes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.shell import PROGRAM, Shell

from hexplan.check import check_plan
from hexplan.plan_file import read_plan
from hexplan.reading import read_spec
from hexplan.render import samples_text, warn_of_spread
from hexplan_runtime.measure import Point, Sample

AUSTEN = Path(__file__).parents[3] / "models" / "austen-3m"
ARGUMENTS = ("profile", "--model", str(AUSTEN), "--device", "laptop-core", "--dtype", "float32")
TRY = (*ARGUMENTS, "--quick", "--prompt-tokens", "64", "--output-tokens", "64")
CLUSTER = f"""\
version: 1
name: measured
model: {{path: {AUSTEN}, dtype: float32}}
workload: {{prompt_tokens: 64, output_tokens: 64}}
profiles: profile.yaml
devices:
  laptop-core: {{kind: cpu, memory: 12MiB, memory_bandwidth: 10GB/s, compute: 50 GFLOP/s}}
hosts:
  - {{name: "core-[0-2]", site: laptop, devices: laptop-core, nic: 2GB/s}}
coordinator: {{site: laptop, nic: 2GB/s}}
links:
  - {{within: laptop, bandwidth: 2GB/s, latency: 100us}}
"""


def test_a_plan_rests_on_the_profile_that_was_measured(hexplan: Shell, tmp_path: Path) -> None:
    profile, cluster = tmp_path / "profile.yaml", tmp_path / "cluster.yaml"
    ran = hexplan(*TRY, "--memory", "12MiB", "-o", profile)
    assert ran.code == 0, ran.err
    assert "1 of " in ran.err
    assert f"wrote {profile}" in ran.err
    data = yaml.safe_load(profile.read_text())
    assert data["model"] == "austen-3m"
    (stage,) = data["stages"]
    assert (stage["device"], stage["tp"], len(stage["tokens_per_s"])) == ("laptop-core", 1, 6)
    assert min(stage["tokens_per_s"]) > 0
    for name, needed in (("prefill_layer_s", 64), ("decode_layer_s", 1)):
        tokens, seconds = zip(*stage[name], strict=True)
        assert needed in tokens
        assert list(tokens) == sorted(set(tokens))
        assert min(seconds) > 0

    cluster.write_text(CLUSTER)
    assert hexplan("solve", cluster, "-q", "-o", tmp_path / "plan.json").code == 0
    plan = read_plan(tmp_path / "plan.json")
    assert check_plan(plan) == ()
    assert {stage.speed_origin for stage in plan.stages} == {"measured profile"}
    assert {float(placed.speed_error) for placed in plan.stages} == {stage["error"]}

    # Where stages may use host memory, its link is the measured one, in whole bytes/s.
    cluster.write_text(CLUSTER + "techniques: {kv_offload: on, host_memory: 1GB}\n")
    link = int(stage["host_link_bytes_per_s"])
    assert link > 0
    assert {host.host_link_bytes_per_s for host in read_spec(cluster).cluster.hosts} == {link}

    before = profile.read_bytes()
    again = hexplan(*TRY, "-o", profile)
    assert (again.code, profile.read_bytes()) == (2, before)
    assert "--force" in again.err


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_measured_and_resume_goes_on_from_it(
    hexplan: Shell, tmp_path: Path
) -> None:
    profile = tmp_path / "profile.yaml"
    longer = (*TRY, "--tp", "2", "-o", str(profile))  # starting the group gives time to interrupt
    with subprocess.Popen([*PROGRAM, *longer], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("1 of ")
        process.send_signal(signal.SIGINT)
        said = process.communicate()[1]
    unfinished = tmp_path / "profile.yaml.unfinished.json"
    assert process.returncode == 130, said
    assert f"are kept in {unfinished}; `--resume` continues" in said
    record = json.loads(unfinished.read_text())
    assert record["status"] == "unfinished"
    kept = len(record["samples"])
    assert kept >= 1
    ran = hexplan(*longer, "--resume")
    assert ran.code == 0, ran.err
    lines = ran.err.splitlines()
    assert lines[0].startswith(f"{kept + 1} of ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["profile.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--memory", "12"], "--memory: found '12'"),
        (["--device", "4 x L4"], "--device: found '4 x L4'"),
        (["--prompt-tokens", "500"], "needed at most 512 together"),
        (["--tp", "7"], "--tp: found 7, needed at most 6"),
        (["--tp", "1"], "--tp"),
        (["--model", "/nowhere"], "found no such folder"),
        (["-o", "-"], "--output: found -, needed a file"),
        (["-o", "/nowhere/profile.yaml"], "but there is no folder /nowhere"),
    ],
)
def test_a_mistake_exits_with_2_before_anything_is_measured(
    hexplan: Shell, tmp_path: Path, arguments: list[str], message: str
) -> None:
    ran = hexplan(*TRY, "-o", tmp_path / "profile.yaml", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert list(tmp_path.iterdir()) == []


def test_without_torch_measuring_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from hexplan.cli import run\n"
        f"sys.exit(run([*{TRY!r}, '-o', {str(tmp_path / 'profile.yaml')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: `torch` is not installed, and measuring needs it")


def test_points_that_spread_are_warned_of_and_steady_ones_are_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    point = Point(tp=2, phase="decode", tokens=8, context=96)
    steady = Sample(point=point, times_s=(1.0, 1.05, 1.1))
    wide = Sample(point=point, times_s=(1.0, 2.0, 4.0))
    warn_of_spread([steady])
    assert capsys.readouterr().err == ""
    warn_of_spread([steady, wide])
    said = capsys.readouterr().err
    assert "1 of 2 points spread by more than 20 %" in said
    assert "decode of 8 tokens at context 96 on 2 devices: 2.00 s, spread 75 % in 3 runs" in said


@pytest.mark.parametrize("columns", ["60", "80"])
def test_the_table_keeps_to_the_columns_it_is_given(
    monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    point = Point(tp=64, phase="prefill", tokens=100_000, context=100_000)
    lines = samples_text([Sample(point=point, times_s=(100.0, 200.0))]).splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= int(columns)
