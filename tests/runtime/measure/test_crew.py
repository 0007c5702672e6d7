"""The processes of a measurement: those that take orders, and those that serve beside them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.processes import are_gone, command_line, processes_with, wait_until

from hexplan.model import Model
from hexplan_runtime.measure.crew import Crew, Subject
from hexplan_runtime.measure.grid import Lengths
from hexplan_runtime.measure.messages import RankOrder
from hexplan_runtime.measure.sample import Point
from hexplan_runtime.model.architecture import read_architecture

MARK = "HEXPLAN_TEST_CREW"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def _busy_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / TICKS_PER_S


def test_others_serve_beside_a_group_that_waits_for_orders_and_end_with_it(
    llama: Path, llama_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MARK, str(os.getpid()))
    architecture = read_architecture(llama, llama_model)
    lengths = Lengths(24, 16)
    subject = Subject(llama_model, architecture, llama, (0, 2), "cpu", lengths, together=2)
    with Crew(subject, 1) as crew:
        found = processes_with(f"{MARK}={os.getpid()}")
        ranks = [pid for pid in found if "hexplan_runtime.measure.rank" in command_line(pid)]
        assert len(ranks) == 2
        before_s = {pid: _busy_s(pid) for pid in ranks}
        assert wait_until(lambda: any(_busy_s(pid) > before_s[pid] + 0.3 for pid in ranks))
        assert any(_busy_s(pid) < before_s[pid] + 0.1 for pid in ranks)
        decode = Point(tp=1, phase="decode", tokens=2, context=lengths.context)
        assert len(crew.run(RankOrder(point=decode, warmups=1, repeats=3))) == 3
    assert wait_until(lambda: are_gone(ranks))


def test_company_runs_a_prompt_and_then_as_many_decodes_as_an_output_has(
    llama: Path, llama_model: Model
) -> None:
    architecture = read_architecture(llama, llama_model)
    subject = Subject(llama_model, architecture, llama, (0, 2), "cpu", Lengths(24, 16), together=2)
    prompt, *decodes = subject.company(1)
    assert (prompt.phase, prompt.tokens) == ("prefill", 24)
    tokens = sum(decode.tokens for decode in decodes)
    assert {decode.phase for decode in decodes} == {"decode"}
    assert tokens == 16
