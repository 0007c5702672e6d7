"""Fit the constants of the served rate to the simulator, and print how near they come.

    python benchmarks/served_fit.py [--seeds 21]

The runs are those of the plans of largest flow of generated clusters (`served_specs.py`), each with
its own step limits, with half of them, and with a quarter of the decodes. It takes half an hour.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from served_specs import FITTED_SEEDS, cluster_text

from hexplan.errors import HexplanError
from hexplan.reading import parse_spec
from hexplan.workload import Workload
from hexplan_solver import SolveOptions, solve
from hexplan_solver.served.request import spread_lengths
from hexplan_solver.served.scheduler import SCHEDULER, Scheduler
from hexplan_solver.served.served import served_rate
from hexplan_solver.simulate import (
    Offline,
    PipelineModel,
    Policy,
    Window,
    pipeline_of_plan,
    policy_of_plan,
    simulate,
)

ROOT = Path(__file__).parents[1]
SOLVE_S = 6.0
STAYS, WARM_UP_STAYS, SEED = 6.0, 2.0, 100
MODULES = ("scheduler", "round_trip", "load")
"""Where the formula reads its constants."""
FITTED = (0, 1, 2, 3, 4, 5, 7)
"""Positions of the constants that are fitted: `filling` and `meeting` were set by hand."""


@dataclass(frozen=True)
class Run:
    """A simulated pipeline."""

    pipeline: PipelineModel
    workload: Workload
    policy: Policy
    decode_tokens_per_s: float

    def error(self) -> float:
        """Return the logarithm of the formula's rate over the simulated one."""
        said = served_rate(self.pipeline, self.workload, self.policy)
        return float(np.log(said.decode_tokens_per_s / self.decode_tokens_per_s))


def runs(seeds: Sequence[int]) -> Iterator[Run]:
    """Simulate the plans of the clusters of some seeds; a cluster without a plan is left out."""
    for seed in seeds:
        try:
            spec = parse_spec(cluster_text(seed), ROOT / "cluster.yaml")
            plan = solve(replace(spec, objective="throughput"), SolveOptions(time_limit_s=SOLVE_S))
        except HexplanError:
            continue
        pipeline, own = pipeline_of_plan(plan), policy_of_plan(plan)
        assert own.chunk_tokens is not None
        decodes = own.max_decode_tokens
        for tokens, most in (
            (own.chunk_tokens, decodes),
            (max(64, own.chunk_tokens // 2), max(4, decodes // 2)),
            (own.chunk_tokens, max(4, decodes // 4)),
        ):
            policy = replace(own, chunk_tokens=tokens, max_decode_tokens=most)
            stay_s = served_rate(pipeline, spec.workload, policy).residence_s
            window = Window(STAYS * stay_s, WARM_UP_STAYS * stay_s, SEED)
            outcome = simulate(pipeline, Offline(spread_lengths(spec.workload)), policy, window)
            found = Run(pipeline, spec.workload, policy, outcome.decode_tokens_per_s)
            print(f"{seed}: {tokens} / {most}: {np.exp(found.error()):.2f}", flush=True)
            yield found


@contextmanager
def with_constants(scheduler: Scheduler) -> Iterator[None]:
    """Let the formula use other constants."""
    with ExitStack() as stack:
        for module in MODULES:
            stack.enter_context(patch(f"hexplan_solver.served.{module}.SCHEDULER", scheduler))
        yield


def with_fitted(values: NDArray[np.float64]) -> Scheduler:
    """Return the constants with those that are fitted in their places."""
    every = list(astuple(SCHEDULER))
    for position, value in zip(FITTED, values, strict=True):
        every[position] = float(value)
    return Scheduler(*every)


def fit(seen: Sequence[Run]) -> Scheduler:
    """Return the constants that come nearest, from those in use."""

    def loss(logarithms: NDArray[np.float64]) -> float:
        scheduler = with_fitted(np.exp(logarithms))
        if scheduler.clumps < 1 or scheduler.spreading > 1:
            return 1e3
        with with_constants(scheduler):
            return float(np.mean([abs(run.error()) ** 1.5 for run in seen]))

    every = astuple(SCHEDULER)
    start = np.log(np.array([every[position] for position in FITTED], dtype=np.float64))
    simplex = np.vstack([start, start + 0.25 * np.eye(len(FITTED))])
    found = minimize(
        loss,
        start,
        method="Nelder-Mead",
        options={"maxfev": 400, "maxiter": 400, "initial_simplex": simplex},
    )
    return with_fitted(np.exp(found.x))


def main() -> None:
    """Simulate, fit and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=len(FITTED_SEEDS))
    seen = list(runs(FITTED_SEEDS[: parser.parse_args().seeds]))
    for scheduler in (SCHEDULER, fit(seen)):
        with with_constants(scheduler):
            errors = np.abs(np.expm1([run.error() for run in seen]))
        print(scheduler, f"mean error {errors.mean():.1%}, worst {errors.max():.1%}")


if __name__ == "__main__":
    main()
