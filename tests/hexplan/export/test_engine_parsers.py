"""Words of exports, parsed by vLLM's and SGLang's own parsers.

They need a Python with the engine, which HEXPLAN_TEST_VLLM_PYTHON or HEXPLAN_TEST_SGLANG_PYTHON
names. Without it, `test_each_option_is_one_that_the_engine_has` stands in: it knows the names of
their options by committed lists.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.exported import exported, pipeline_plan, scripts_of, words_of

from hexplan.export.options import Target

PROGRAM = Path(__file__).parents[2] / "support" / "parse_engine_words.py"


def parsed(target: Target, words: list[list[str]]) -> list[dict[str, Any]]:
    """Return what an engine reads, or skip."""
    variable = f"HEXPLAN_TEST_{target.upper()}_PYTHON"
    python = os.environ.get(variable)
    if python is None:
        pytest.skip(f"{variable} names no Python with {target}; a list of its options stands in")
    # The engine is to be found in its own environment alone.
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    if extra := os.environ.get(f"HEXPLAN_TEST_{target.upper()}_PATH"):
        environment["PYTHONPATH"] = extra
    ran = subprocess.run(
        [python, PROGRAM, target],
        input=json.dumps(words),
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(ran.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_vllm_reads_what_was_meant() -> None:
    scripts = scripts_of(exported(pipeline_plan(), "vllm")).values()
    head, worker, alone = parsed("vllm", [words_of(script)[2:] for script in scripts])
    for rank, one in enumerate((head, worker)):
        assert (one["tensor_parallel_size"], one["pipeline_parallel_size"]) == (2, 2)
        assert (one["nnodes"], one["node_rank"]) == (2, rank)
        assert (one["master_addr"], one["master_port"]) == ("10.0.0.1", 29501)
        assert one["device_ids"] == [0, 1]
    assert (head["headless"], worker["headless"]) == (False, True)
    assert (alone["device_ids"], alone["port"], alone["model_tag"]) == (
        [2, 3],
        8001,
        "/models/tiny",
    )
    assert (alone["max_model_len"], alone["host"]) == (150, "10.0.0.2")


@pytest.mark.slow
def test_sglang_reads_what_was_meant() -> None:
    scripts = scripts_of(exported(pipeline_plan(), "sglang")).values()
    head, worker, alone = parsed("sglang", [words_of(script)[3:] for script in scripts])
    for rank, one in enumerate((head, worker)):
        assert (one["tp_size"], one["pp_size"]) == (2, 2)
        assert (one["nnodes"], one["node_rank"]) == (2, rank)
        assert one["dist_init_addr"] == "10.0.0.1:29501"
    assert (alone["port"], alone["context_length"], alone["model_path"]) == (
        8001,
        150,
        "/models/tiny",
    )
