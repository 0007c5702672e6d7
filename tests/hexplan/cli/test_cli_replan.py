"""`hexplan replan` from outside: what it prints where, what it writes, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.shell import Shell
from support.specs import TWO_NODES

from hexplan.check import RULES
from hexplan.plan_file import read_plan
from hexplan.results.replanning import Replanning


def test_a_device_that_is_gone_leaves_its_twin_with_new_routes(
    hexplan: Shell, plan_file: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new.json"
    ran = hexplan("replan", plan_file, "--without", "small:0", "--routes-only", "-o", new)
    assert ran.code == 0
    assert "nothing" in ran.out.partition("To move")[2]
    assert f"wrote {new}" in ran.err
    assert hexplan("check", new).out == f"ok: {len(RULES)} rules hold\n"
    before, after = read_plan(plan_file), read_plan(new)
    assert [s.devices for s in after.stages] == [(0, 1), (1,)]
    assert after.stages[1].shards == before.stages[2].shards
    assert str(after.certificate.flow_tokens_per_s) == "2185.023639"


def test_weights_may_move_up_to_the_loss_that_is_allowed(
    hexplan: Shell, plan_file: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new.json"
    arguments = ("--without", "small/0", "--max-loss", "10%", "--time-limit", "3s", "-q")
    assert hexplan("replan", plan_file, *arguments, "-o", new).code == 0
    assert hexplan("check", new).code == 0
    told = json.loads(hexplan("replan", plan_file, *arguments, "--json").out)
    replanning = Replanning.model_validate_json(json.dumps(told))
    assert replanning.mode == "fewest-bytes"
    assert replanning.flow_fresh_tokens_per_s is not None
    assert float(replanning.flow_tokens_per_s) >= 0.9 * float(replanning.flow_fresh_tokens_per_s)
    assert replanning.moved_bytes == sum(host.moved_bytes for host in replanning.hosts)


def test_a_changed_spec_takes_the_place_of_the_old_one(
    hexplan: Shell, spec_file: Path, tmp_path: Path
) -> None:
    plan, new, larger = (tmp_path / name for name in ("plan.json", "new.json", "larger.yaml"))
    assert hexplan("solve", spec_file, "-q", "-o", plan).code == 0
    larger.write_text(TWO_NODES.replace("  - name: small\n", "  - name: small-[0-1]\n"))
    ran = hexplan("replan", plan, "--spec", larger, "--time-limit", "3s", "-q", "-o", new)
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert hexplan("check", new).code == 0
    assert [host.name for host in read_plan(new).cluster.hosts] == ["big", "small-0", "small-1"]


def test_a_plan_on_stdout_is_nothing_but_the_plan(hexplan: Shell, plan_file: Path) -> None:
    ran = hexplan("replan", plan_file, "--without", "small:0", "--routes-only", "-o", "-")
    assert ran.code == 0
    assert json.loads(ran.out)["version"] == 1


def test_layers_without_a_holder_exit_with_3_and_a_way_out(hexplan: Shell, plan_file: Path) -> None:
    ran = hexplan("replan", plan_file, "--without", "big", "--routes-only", "-q")
    assert (ran.code, ran.out) == (3, "")
    assert "holds layers [0, 4): they were in s0 (host big is gone)" in ran.err
    assert "hint: without --routes-only, weights may move" in ran.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "found no change, needed `--without` or `--spec`"),
        (["--without", "smal"], "found smal, needed a host"),
        (["--without", "small:9"], "found device 9 of small, needed 0 to 2"),
        (["--without", "small:x"], "needed a device as HOST:INDEX"),
        (["--without", "small:"], "needed a device as HOST:INDEX"),
        (["--without", "a-[3-1]"], "counts up"),
        (["--without", "small:0", "--max-loss", "7"], "--max-loss"),
        (["--without", "small:0", "--max-loss", "100%"], "needed less than all"),
        (["--without", "small:0", "--time-limit", "5"], "--time-limit"),
    ],
)
def test_a_mistake_exits_with_2_and_says_what_is_needed(
    hexplan: Shell, plan_file: Path, arguments: list[str], message: str
) -> None:
    ran = hexplan("replan", plan_file, "-q", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert "Traceback" not in ran.err


def test_a_plan_that_breaks_a_rule_is_not_replanned(hexplan: Shell, broken_plan_file: Path) -> None:
    assert hexplan("replan", broken_plan_file, "--without", "small").code == 4


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_what_is_shown_keeps_to_the_columns_it_is_given(
    hexplan: Shell, plan_file: Path, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    arguments = ("--without", "small:0", "--max-loss", "1%", "--time-limit", "2s")
    lines = hexplan("replan", plan_file, *arguments).out.splitlines()
    assert lines
    assert max(map(len, lines)) <= int(columns)
