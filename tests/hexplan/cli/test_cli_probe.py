"""`hexplan probe` from outside: a machine that plays all hosts, hosts over ssh, and mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from support.agents import fake_ssh
from support.processes import are_gone, command_line, processes_with, wait_until
from support.shell import PROGRAM, Shell

from hexplan.check import check_plan
from hexplan.plan_file import read_plan
from hexplan.reading import read_spec

SPEC = """\
version: 1
name: pair
model: llama-2-7b
workload: {prompt_tokens: {mean: 512, max: 1024}, output_tokens: 128}
devices: {core: {kind: cpu, memory: 20GiB, memory_bandwidth: 10GB/s, compute: 50 GFLOP/s}}
hosts:
  - {name: "h[0-1]", site: lab, devices: core, nic: 100Gbps}
  - {name: spare, site: lab, devices: core, nic: 100Gbps}
coordinator: {site: desk, nic: 100Gbps}
links:
  - {within: lab, bandwidth: 100Gbps, latency: 1s, trunk: 100Gbps}
  - {between: [coordinator, lab], bandwidth: 1Mbps, latency: 1s, allow: tokens}
pin: [{exclude: spare}]
limits: {memory_fraction: 1%}
"""
ADDRESSED = (
    SPEC.replace("devices: core", "devices: core, address: '127.0.0.[2-3]'", 1)
    .replace("  - {name: spare, site: lab, devices: core, nic: 100Gbps}\n", "")
    .replace("pin: [{exclude: spare}]\n", "")
)


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(SPEC)
    return path


def test_one_machine_plays_all_hosts_and_a_plan_is_made_from_its_figures(
    hexplan: Shell, spec_file: Path, tmp_path: Path
) -> None:
    before, overlay = spec_file.read_bytes(), tmp_path / "overlay.yaml"
    ran = hexplan("probe", spec_file, "-o", overlay, "--json", "--exit-code")
    assert ran.code == 5, ran.err  # no machine's loopback carries 100 Gbps
    assert "1 of 6: " in ran.err
    assert f"wrote {overlay}: `hexplan solve {spec_file} --overlay {overlay}`" in ran.err
    data = json.loads(ran.out)
    assert data["findings"]["is_one_machine"] is True
    assert [host["found"]["host"] for host in data["hosts"]] == ["h0", "h1"]  # none excluded
    ends = {(x["found"]["source"], x["found"]["target"]) for x in data["links"]}
    assert ends == {(a, b) for a in ("coordinator", "h0", "h1") for b in ("h0", "h1") if a != b} | {
        (h, "coordinator") for h in ("h0", "h1")
    }
    assert any(x["is_slow"] for x in data["links"])
    assert spec_file.read_bytes() == before
    assert "all on one machine" in overlay.read_text()

    measured = read_spec(spec_file, [overlay]).cluster
    for link in data["links"]:
        rule = measured.link(link["found"]["source"], link["found"]["target"])
        assert rule is not None
        assert rule.bandwidth_bytes_per_s == pytest.approx(
            link["found"]["bandwidth_bytes_per_s"], rel=1e-3
        )
        over = measured.over(rule)
        assert over.allow == ("tokens" if "coordinator" in (rule.source, rule.target) else "all")
    plan = tmp_path / "plan.json"
    spec_file.write_text(SPEC.replace("memory_fraction: 1%", "memory_fraction: 90%, time: 1s"))
    solved = hexplan("solve", spec_file, "--overlay", overlay, "-q", "-o", plan)
    assert solved.code == 0, solved.err
    assert check_plan(read_plan(plan)) == ()

    again = hexplan("probe", spec_file, "-o", overlay)
    assert again.code == 2
    assert "--force" in again.err


@contextmanager
def probing(folder: Path, text: str, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a probe over the pretended ssh, and give its process and the mark of all it starts."""
    spec = folder / "cluster.yaml"
    spec.write_text(text)
    name, value = "HEXPLAN_TEST_RUN", uuid4().hex
    reach = ("--bind", "127.0.0.1", "--ssh", str(fake_ssh(folder)), "--python", sys.executable)
    with subprocess.Popen(
        [*PROGRAM, "probe", str(spec), *reach, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {name: value},
    ) as process:
        yield process, f"{name}={value}"


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_measured_labels_it_and_leaves_nobody_behind(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    with probing(tmp_path, ADDRESSED, "-o", str(overlay)) as (process, mark):
        assert process.stderr is not None
        assert process.stderr.readline().startswith("1 of 6: ")
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    (stopped,) = (line for line in said.splitlines() if line.startswith("stopped: "))
    tried = int(stopped.split()[1])
    assert 1 <= tried < 6
    assert f"{tried} of 6 links measured" in out
    assert f"stopped after {tried} of 6 links" in overlay.read_text()
    read_spec(tmp_path / "cluster.yaml", [overlay])
    assert wait_until(lambda: not processes_with(mark))


@pytest.mark.slow
def test_agents_end_when_the_command_is_killed(tmp_path: Path) -> None:
    with probing(tmp_path, ADDRESSED) as (process, mark):
        assert process.stderr is not None
        assert process.stderr.readline().startswith("1 of 6: ")
        agents = processes_with(mark) - {process.pid}
        assert len(agents) == 3
        assert all("hexplan_runtime.probe.agent" in command_line(pid) for pid in agents)
        process.kill()
        process.communicate(timeout=60)
    assert are_gone(agents)


def test_hosts_that_cannot_be_reached_end_with_7_and_a_hint(
    hexplan: Shell, spec_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands for ssh here writes down how it is called, and gives up as ssh does."""
    fake = tmp_path / "bin" / "ssh"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/called\n'
        'echo "ssh: connect to host port 22: Connection refused" >&2\nexit 255\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    spec_file.write_text(ADDRESSED)
    ran = hexplan("probe", spec_file, "--bind", "127.0.0.1", "-q", "-o", tmp_path / "o.yaml")
    assert ran.code == 7
    text = " ".join(ran.out.split())
    assert "pair: 2 hosts, 2 unreachable" in text
    assert "h0: unreachable (its agent ended: ssh: connect to host port 22: Conn" in text
    assert "error: 2 of 2 hosts and 6 of 6 links could not be reached\n" in ran.err
    assert "hint: the table says why" in ran.err
    assert not (tmp_path / "o.yaml").exists()
    options = "-T -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=5"
    options += " -o ServerAliveCountMax=3 -o ForwardAgent=no"
    agent = "python3 -P -m hexplan_runtime.probe.agent"
    assert sorted((tmp_path / "called").read_text().splitlines()) == [
        f"{options} -- 127.0.0.{last} {agent}" for last in (2, 3)
    ]


@pytest.mark.parametrize(
    ("text", "options", "phrase"),
    [
        (SPEC, ["--bind", "127.0.0.1"], "--bind: found 127.0.0.1, but no host has an `address`"),
        (ADDRESSED, [], "--bind: found none, needed it because the hosts have addresses"),
        (ADDRESSED, ["--bind", "192.0.2.7"], "--bind: 192.0.2.7 is no address of this machine"),
        (ADDRESSED, ["--bind", "0.0.0.0"], "--bind: 0.0.0.0 means every address"),  # noqa: S104
        (ADDRESSED, ["--bind", "127.0.0.1", "--python", "a b"], "--python: found a b"),
        (
            ADDRESSED.replace("127.0.0.[2-3]", "8.8.8.[7-8]"),
            ["--bind", "127.0.0.1"],
            "h0: found the public address 8.8.8.7",
        ),
        (SPEC, ["--ssh", ""], "--ssh: found nothing"),
        (SPEC, ["--ssh", "'"], '--ssh: found "\'": No closing quotation'),
        (SPEC, ["--timeout", "0s"], "--timeout: found 0s, needed a time above 0"),
        (SPEC, ["-o", "-"], "--output: found -, needed a file"),
        (SPEC, ["--overlay", "/nowhere.yaml"], "/nowhere.yaml: cannot read it"),
        (
            SPEC.replace("spare, ", "spare, address: 10.0.0.1, ").replace("exclude: spare", ""),
            [],
            "found hosts with an `address`, and others without: h0, h1",
        ),
        (SPEC.replace("h[0-1]", "h[0-16]"), [], "found 17 hosts without an `address`, needed at"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 99 else "",
)
def test_a_mistake_exits_with_2_before_anything_is_started(
    hexplan: Shell, spec_file: Path, text: str, options: list[str], phrase: str
) -> None:
    spec_file.write_text(text.replace("pin: [{}]\n", ""))
    ran = hexplan("probe", spec_file, *options)
    assert (ran.code, ran.out) == (2, "")
    assert phrase in ran.err
    assert "Traceback" not in ran.err


def test_the_spec_itself_is_never_overwritten(hexplan: Shell, spec_file: Path) -> None:
    ran = hexplan("probe", spec_file, "-o", spec_file, "--force")
    assert ran.code == 2
    assert "which is the spec, and probe never changes a spec" in ran.err
    assert spec_file.read_text() == SPEC


def test_without_torch_probing_says_what_to_install(spec_file: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from hexplan.cli import run\n"
        f"sys.exit(run(['probe', {str(spec_file)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: `torch` is not installed, and probing needs it")
