"""`hexplan probe` between hosts with networks of their own: a slow line, and one that is cut."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.networks import DESK, network

from hexplan.check import check_plan
from hexplan.reading import read_spec
from hexplan_solver import SolveOptions, solve

SPEC = """\
version: 1
name: bridged
model: llama-2-7b
workload: {prompt_tokens: {mean: 512, max: 1024}, output_tokens: 128}
hosts:
  - {name: "h[0-2]", site: lab, devices: A40, nic: 1Gbps, address: "10.77.0.[10-12]"}
coordinator: {site: desk, nic: 1Gbps}
links:
  - {within: lab, bandwidth: 1Gbps, latency: 1s, trunk: 2Gbps}
  - {between: [coordinator, h0], bandwidth: 1Gbps, latency: 1s}
"""
SLOW_BYTES_PER_S = 100e6 / 8


@pytest.mark.slow
def test_a_slow_line_is_measured_and_a_cut_one_holds_nobody_up(tmp_path: Path) -> None:
    """The line of h1 sends 100 Mbit/s; h1 and h2 reach everyone but each other."""
    spec, overlay = tmp_path / "cluster.yaml", tmp_path / "overlay.yaml"
    spec.write_text(SPEC)
    with network(3) as net:
        net.shape(1, "100mbit")
        net.part(1, 2)
        program = net.at_desk(sys.executable, "-m", "hexplan", "probe", str(spec), "--bind", DESK)
        reach = ("--ssh", str(net.ssh(tmp_path)), "--python", sys.executable, "--timeout", "8s")
        ran = subprocess.run(
            [*program, *reach, "-q", "-o", str(overlay)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.returncode == 7, ran.stderr
    assert "error: 2 of 8 links could not be reached\n" in ran.stderr
    text = " ".join(ran.stdout.split())
    assert "h1 > h2, h2 > h1: unreachable (no connection with h2 within 8 s)" in text
    links = {(x["from"], x["to"]): x for x in yaml.safe_load(overlay.read_text())["links"]}
    assert len(links) == 6
    assert not {("h1", "h2"), ("h2", "h1")} & links.keys()

    measured = read_spec(spec, [overlay])
    rates = {}
    for ends in links:
        rule = measured.cluster.rule(*ends)
        assert rule is not None
        rates[ends] = rule.bandwidth_bytes_per_s
    assert SLOW_BYTES_PER_S / 3 < rates["h1", "h0"] < SLOW_BYTES_PER_S * 1.5
    assert rates["h0", "h2"] > 3 * SLOW_BYTES_PER_S  # nothing limits it but the machine
    over = measured.cluster.rule("h1", "h2")
    assert over is not None
    assert (over.source, over.bandwidth_bytes_per_s) == ("lab", 125_000_000)  # as in the spec
    assert check_plan(solve(measured, SolveOptions(time_limit_s=2))) == ()
