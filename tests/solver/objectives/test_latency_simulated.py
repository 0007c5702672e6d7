"""The stated times of a token, against requests that are simulated one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from support.clusters import device_type, host, spec_of, tiny_model

from hexplan.constants import MICRO
from hexplan.spec import Spec
from hexplan.workload import Lengths, Workload
from hexplan_solver.flow.network import build_network
from hexplan_solver.flow.routes import Flow
from hexplan_solver.objectives.latency.split import split_rate, times_of
from hexplan_solver.objectives.latency.stations import station_of
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.simulate import (
    CHUNKED,
    FixedLengths,
    Poisson,
    Window,
    pipeline_of_placement,
    simulate,
)

PROMPT, OUTPUT, LAYERS = 512, 64, 12
SLOW = 10**8
REQUESTS = 300


def chain_of(speeds: Sequence[int], slower_prompts: int) -> tuple[Spec, list[PlacedStage]]:
    """Return a spec with a host of each speed, and a stage on each, of equally many layers."""
    names = [f"h{i}" for i in range(len(speeds))]
    types = [device_type(f"d-{n}", speed=SLOW * s) for n, s in zip(names, speeds, strict=True)]
    types = [
        t.model_copy(update={"compute_flops_per_s": t.compute_flops_per_s // slower_prompts})
        for t in types
    ]
    hosts = [host(name, [f"d-{name}"]) for name in names]
    spec = spec_of(tiny_model(LAYERS), hosts, types=types)
    lengths = Lengths(mean=PROMPT, max=PROMPT), Lengths(mean=OUTPUT, max=OUTPUT)
    spec = replace(spec, workload=Workload(prompt_tokens=lengths[0], output_tokens=lengths[1]))
    kinds = {kind.group: kind for kind in build_problem(spec).kinds}
    each = LAYERS // len(speeds)
    stages = []
    for i, name in enumerate(names):
        kind, layers = kinds[(f"d-{name}",)], (each * i, each * (i + 1))
        stages.append(PlacedStage(layers, name, (0,), kind.index, kind.rates.of(*layers)))
    return spec, stages


@pytest.mark.parametrize("speeds", [(1,), (1, 1), (1, 3), (3, 1, 2), (1, 1, 1, 1)])
@pytest.mark.parametrize(
    ("slower_prompts", "requests_at_once"),
    [(1, 0.01), (1, 0.1), (1, 0.3), (16, 0.01), (16, 0.1)],  # of 16, one takes 60 rounds of tokens
)
def test_a_token_takes_as_long_as_simulated_at_a_low_rate(
    speeds: Sequence[int], slower_prompts: int, requests_at_once: float
) -> None:
    spec, stages = chain_of(speeds, slower_prompts)
    problem, network = build_problem(spec), build_network(spec, stages)
    stations = [station_of(problem, stage).station for stage in network.stages]
    alone_s = sum(station.alone_s for station in stations) + 0.001 * (len(stages) + 1)
    requests_per_s = requests_at_once / (OUTPUT * alone_s)
    needed = int(requests_per_s * (PROMPT + OUTPUT) * MICRO)
    paths = split_rate(problem, network, stations, needed)
    stated = times_of(problem, network, stations, paths)
    simulated = simulate(
        pipeline_of_placement(problem, network, Flow(needed, paths, ())),
        Poisson(requests_per_s, FixedLengths(PROMPT, OUTPUT)),
        CHUNKED,
        Window(REQUESTS / requests_per_s, 0.0, 1),
    )
    assert simulated.tpot is not None
    assert stated.tpot_s == pytest.approx(simulated.tpot.mean_s, rel=0.12)
