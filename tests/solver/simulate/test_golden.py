"""Every token's time, worked out by hand and as the published simulator printed it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.pipelines import TokenSteps, chain
from support.published_pipelines import Published, published_pipeline

from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate import CHUNKED, WHOLE, PipelineModel, Policy, Replay, Window, simulate
from hexplan_solver.simulate.simulation import Simulation
from hexplan_solver.simulate.token_group import TokenGroup

Times = dict[int, list[float]]
FOUR_A100 = Published("helix-single24-a100-llama30b", "helix")
PUBLISHED = Path(__file__).parents[2] / "data" / "published_token_times.json"


def token_times(pipeline: PipelineModel, traffic: Replay, policy: Policy) -> Times:
    """When each request's passes left the pipeline, its prompt's among them."""
    times: Times = {}
    simulation = Simulation(pipeline, traffic, policy, Window(1e6, 0.0))
    collect = simulation._collect

    def listen(group: TokenGroup) -> None:
        for request in group.requests:
            times.setdefault(request.number, []).append(simulation.now_s)
        collect(group)

    simulation._collect = listen  # type: ignore[method-assign]
    simulation.run()
    return times


def test_two_requests_on_two_stages_with_chunks_by_hand() -> None:
    """A prompt token takes 1 s a stage, a decode 0.25 s; a step has room for 4 tokens.

    Stage 0: [0, 4) A's tokens 0 to 3; [4, 6) A's last 2, and B's first 2 make [4, 8) of 4.
    [8, 9) B's last. Stage 1 does the same 4 s later, and A's first token leaves at 12 (after its
    step of A's 2 and B's 2), where B's last token is due from [12, 13) on, together with nothing.
    """
    pipeline = chain(TokenSteps(1.0, 0.25), TokenSteps(1.0, 0.25))
    traffic = Replay(((0.0, 6, 3), (0.0, 3, 2)))
    times = token_times(pipeline, traffic, replace(CHUNKED, chunk_tokens=4))
    # A: the token of its prompt at 12; decoded on stage 0 in [12, 12.25), on stage 1 after B's
    # last prompt token, which runs there in [12, 13): [13, 13.25). B's first token leaves at 13,
    # its decode runs on stage 0 in [13, 13.25) and on stage 1 in [13.25, 13.5).
    # A's second decode then is on stage 0 in [13.25, 13.5) and on stage 1 in [13.5, 13.75).
    assert times[0] == pytest.approx([12.0, 13.25, 13.75])
    assert times[1] == pytest.approx([13.0, 13.5])


def test_whole_prompts_hold_decodes_up_by_hand() -> None:
    """One stage. A's prompt runs in [0, 2); B's, which waits, in [2, 5); A's decodes then."""
    pipeline = chain(TokenSteps(1.0, 0.25))
    policy = replace(WHOLE, sends_singly=False, intake_s_per_byte=0.0, prompt_gives_token=True)
    times = token_times(pipeline, Replay(((0.0, 2, 3), (1.0, 3, 1))), policy)
    assert times == {0: pytest.approx([2.0, 5.25, 5.5]), 1: pytest.approx([5.0])}


@dataclass(frozen=True)
class Case:
    """Equal requests at even distances, and when each pass of each ended."""

    requests: int
    prompt_tokens: int
    output_tokens: int
    apart_s: float
    pass_end_s: list[list[float]]


CASES = [Case(**case) for case in json.loads(PUBLISHED.read_text())["cases"]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.requests} requests")
def test_token_times_are_those_that_the_published_simulator_prints(case: Case) -> None:
    """Four A100 with 15 layers of LLaMA-30B each; bytes of a token as the artifact counts them."""
    pipeline = published_pipeline(FOUR_A100)
    edges = tuple(
        replace(edge, token_bytes=2 if OUTSIDE in (edge.source, edge.target) else 13314)
        for edge in pipeline.edges
    )
    lengths = case.prompt_tokens, case.output_tokens
    traffic = Replay(tuple((case.apart_s * i, *lengths) for i in range(case.requests)))
    found = token_times(replace(pipeline, edges=edges), traffic, WHOLE)
    for number, times in enumerate(case.pass_end_s):
        assert found[number] == pytest.approx(times, abs=3e-5)


def test_equal_seeds_give_equal_bytes() -> None:
    pipeline = published_pipeline(FOUR_A100)
    traffic = Replay(tuple((0.2 * i, 300, 30) for i in range(20)))
    first, second = (simulate(pipeline, traffic, CHUNKED, Window(60.0)) for _ in range(2))
    assert first.model_dump_json() == second.model_dump_json()
