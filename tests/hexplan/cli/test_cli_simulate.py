"""`hexplan simulate` from outside."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from support.shell import Shell

from hexplan.results.outcome import Outcome

SHORT = ("--duration", "60s", "--warmup", "10s")


def test_simulate_shows_rates_latencies_and_stages(hexplan: Shell, plan_file: Path) -> None:
    ran = hexplan("simulate", plan_file, "--rate", "2/s", *SHORT)
    assert (ran.code, ran.err) == (0, "")
    assert "output tokens/s" in ran.out
    assert "first token (TTFT)" in ran.out
    assert "60 s simulated, the first 10 s left out (given); policy chunked, seed 0" in ran.out


@pytest.mark.parametrize("load", [("--rate", "2/s"), ("--offline",), ()])
@pytest.mark.parametrize("policy", ["whole", "chunked"])
def test_json_is_an_outcome_and_the_same_each_time(
    hexplan: Shell, plan_file: Path, load: tuple[str, ...], policy: str
) -> None:
    command = ("simulate", plan_file, *load, *SHORT, "--policy", policy, "--json")
    first, second = hexplan(*command), hexplan(*command)
    assert first.code == 0
    assert first.out == second.out
    outcome = Outcome.model_validate_json(first.out)
    assert outcome.arrived == outcome.finished + outcome.turned_away + outcome.unfinished
    assert outcome.finished > 0


def test_a_promise_is_judged(hexplan: Shell, plan_file: Path) -> None:
    command = ("simulate", plan_file, "--rate", "1/s", *SHORT, "--json")
    kept = json.loads(hexplan(*command, "--slo-ttft", "1h", "--slo-tpot", "1h").out)["slo"]
    broken = json.loads(hexplan(*command, "--slo-ttft", "1us").out)["slo"]
    assert kept["attainment"] == 1.0
    assert (broken["attainment"], broken["goodput_requests_per_s"]) == (0.0, 0.0)
    assert broken["tpot_s"] is None


def test_a_trace_is_replayed_to_its_end_and_at_another_rate(
    hexplan: Shell, plan_file: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "trace.csv"
    rows = "".join(f"2024-05-10 00:00:{second:02},20,5\n" for second in range(0, 60, 2))
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows)
    whole = json.loads(hexplan("simulate", plan_file, "--trace", trace, "--json").out)
    assert (whole["arrived"], whole["finished"]) == (30, 30)
    faster = hexplan("simulate", plan_file, "--trace", trace, "--rate", "5/s", "--json")
    assert json.loads(faster.out)["duration_s"] < whole["duration_s"] / 5


def test_a_failed_stage_shows_as_restarts(hexplan: Shell, plan_file: Path) -> None:
    ran = hexplan("simulate", plan_file, "--offline", *SHORT, "--fail", "s0@20s-30s", "--json")
    assert json.loads(ran.out)["restarts"] > 0


SPLIT = ("--prefill-stages", "s0,s1", "--decode-stages", "s0, s2")


@pytest.mark.parametrize("policy", ["whole", "chunked"])
def test_stages_may_be_divided_between_prefill_and_decode(
    hexplan: Shell, plan_file: Path, policy: str
) -> None:
    command = ("simulate", plan_file, "--rate", "2/s", *SHORT, "--policy", policy, *SPLIT)
    outcome = Outcome.model_validate_json(hexplan(*command, "--json").out)
    assert [use.phase for use in outcome.stages] == ["both", "prefill", "decode"]
    assert outcome.finished > 50
    assert all(use.busy > 0 for use in outcome.stages)
    text = hexplan(*command).out
    assert "serves" in text and "prefill" in text
    assert "serves" not in hexplan("simulate", plan_file, "--rate", "2/s", *SHORT).out


def test_what_is_not_named_to_prefill_decodes(hexplan: Shell, plan_file: Path) -> None:
    ran = hexplan("simulate", plan_file, "--prefill-stages", "s0,s1")
    assert (ran.code, ran.out) == (2, "")
    assert "decode stages s2: found no layer 0" in ran.err
    assert "--decode-stages" in ran.err


def test_each_policy_of_the_list_can_be_chosen(hexplan: Shell, plan_file: Path) -> None:
    ways = (
        ("--policy", "whole"),
        ("--policy", "chunked", "--chunk", "64"),
        ("--policy", "whole", "--delay", "10ms"),
        ("--chunk", "64", "--decodes", "4"),
        ("--policy", "chunked", "--delay", "10ms"),
        SPLIT,
    )
    found = set()
    for way in ways:
        ran = hexplan("simulate", plan_file, "--rate", "20/s", *SHORT, "--json", *way)
        found.add(json.loads(ran.out)["e2e"]["mean_s"])
    assert len(found) == len(ways)


def test_the_timeline_has_no_point_of_no_time(hexplan: Shell, plan_file: Path) -> None:
    ran = hexplan("simulate", plan_file, "--offline", "--duration", "120s", "--json")
    outcome = Outcome.model_validate_json(ran.out)
    times_s = [0.0, *(point.at_s for point in outcome.timeline)]
    assert min(b - a for a, b in pairwise(times_s)) > 0.5
    assert all(point.output_tokens_per_s > 0 for point in outcome.timeline[-5:])


def test_a_run_in_which_nothing_is_finished_is_told(hexplan: Shell, plan_file: Path) -> None:
    ran = hexplan("simulate", plan_file, "--rate", "1/h", "--duration", "1s")
    assert ran.code == 0
    assert "no request was finished" in " ".join(ran.out.split())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--rate", "2"), "--rate"),  # no unit
        (("--offline", "--rate", "2/s"), "needed only one of them"),  # two loads
        (("--duration", "10s", "--warmup", "10s"), "--warmup"),  # nothing left
        (("--fail", "s9@1s"), "--fail"),  # no such stage
        (("--fail", "s0@5s-3s"), "end after the start"),  # back before it fails
        (("--policy", "whole", "--chunk", "64"), "--chunk"),  # not its matter
        (("--policy", "whole", "--decodes", "4"), "--decodes"),  # likewise
        (("--plot", "run.gif"), "run.gif"),  # no such picture
        (("--trace", "/nowhere.csv"), "cannot read"),  # no file
        (("--slo-ttft", "0s"), "--slo-ttft"),  # no time
        (("--prefill-stages", "s0,s9"), "found s9"),  # no such stage
        (("--prefill-stages", "s0,"), "found no name"),  # a comma too many
        (("--decode-stages", "s0"), "without --prefill-stages"),  # half of it
        (("--prefill-stages", "s0,s1", "--decode-stages", "s0"), "no use of s2"),  # one left
    ],
)
def test_wrong_options_are_refused_in_words(
    hexplan: Shell, plan_file: Path, arguments: tuple[str, ...], told: str
) -> None:
    ran = hexplan("simulate", plan_file, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err


def test_a_plan_that_breaks_a_rule_is_not_simulated(hexplan: Shell, broken_plan_file: Path) -> None:
    assert hexplan("simulate", broken_plan_file).code == 4


@pytest.mark.parametrize(
    "load", [("--rate", "1e12/s"), ("--rate", "2/s", "--duration", "1e9h"), ("--duration", "1e12h")]
)
def test_more_requests_than_anyone_would_wait_for_are_refused(
    hexplan: Shell, plan_file: Path, load: tuple[str, ...]
) -> None:
    ran = hexplan("simulate", plan_file, *load)
    assert (ran.code, ran.out) == (2, "")
    assert "requests, needed at most 1e+07" in ran.err
    assert "hint: simulate a shorter time" in ran.err


def test_more_threads_than_any_machine_has_are_refused(hexplan: Shell, spec_file: Path) -> None:
    ran = hexplan("solve", spec_file, "--threads", "100000")
    assert ran.code == 2
    assert "--threads" in ran.err
