"""Queues from outside: options of `simulate` and `serve`, and the field of a spec."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.shell import Shell
from support.specs import TWO_NODES, spec_of

from hexplan.errors import InputError
from hexplan.results.outcome import Outcome

SPLIT = ("--prefill-stages", "s0,s1", "--decode-stages", "s0,s2")
SHORT = ("--rate", "2/s", "--duration", "60s", "--warmup", "10s")


def test_simulate_runs_requests_by_a_queue(hexplan: Shell, plan_file: Path) -> None:
    ran = hexplan("simulate", plan_file, *SHORT, "--queue", "mlfq", "--starve", "5s", "--json")
    assert (ran.code, ran.err) == (0, "")
    outcome = Outcome.model_validate_json(ran.out)
    assert outcome.queue == "mlfq"
    assert outcome.max_slowdown is not None and outcome.mean_slowdown is not None
    assert outcome.max_slowdown >= outcome.mean_slowdown > 0.9
    text = hexplan("simulate", plan_file, *SHORT).out
    assert "queue fcfs: requests took" in text


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--queue", "srpt", "--offline"), "--queue: found srpt with --offline"),
        (("--queue", "fair", "--policy", "whole"), "--queue: found fair with --policy whole"),
        (("--queue", "mlfq", *SPLIT), "--queue: found mlfq with --prefill-stages"),
        (("--starve", "5s"), "--starve: found it with the queue fcfs"),
        (("--queue", "lifo"), "lifo"),
    ],
)
def test_a_queue_where_it_means_nothing_is_refused(
    hexplan: Shell, plan_file: Path, words: tuple[str, ...], found: str
) -> None:
    ran = hexplan("simulate", plan_file, *words)
    assert ran.code == 2
    assert found in ran.err
    assert "Traceback" not in ran.err


def test_a_spec_may_name_a_queue_and_only_one_that_is_known() -> None:
    spec = spec_of(f"{TWO_NODES}\ntechniques: {{queue: srpt}}\n")
    assert spec.cluster.techniques.queue == "srpt"
    assert spec.cluster.sha256 != spec_of(TWO_NODES).cluster.sha256
    with pytest.raises(InputError, match="techniques.queue: found 'lifo', needed 'fcfs'"):
        spec_of(f"{TWO_NODES}\ntechniques: {{queue: lifo}}\n")


def test_a_spec_that_names_none_keeps_its_hash() -> None:
    plain, named = spec_of(TWO_NODES), spec_of(f"{TWO_NODES}\ntechniques: {{queue: fcfs}}\n")
    assert "techniques" not in plain.cluster.model_dump_json()
    assert plain.cluster.sha256 == named.cluster.sha256
