"""What is offered to a plan: requests at a rate, and what the formula says of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hexplan.constants import FIGURE_DIGITS
from hexplan.workload import Workload
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.flow.routes import Path
from hexplan_solver.objectives.latency.params import LATENCY_PARAMS
from hexplan_solver.objectives.sustained.candidate import Candidate
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS
from hexplan_solver.served.latencies import latencies_at
from hexplan_solver.served.scheduler import clump_tokens
from hexplan_solver.simulate import Window


@dataclass(frozen=True, slots=True)
class Offered:
    """Requests that arrive at random. All candidates are judged by runs of the same length."""

    workload: Workload
    requests_per_s: float
    """As a plan states it, in whole 1e-6."""
    stay_s: float = 0.0
    """About how long a request stays in a good plan."""

    @staticmethod
    def by(workload: Workload) -> Offered | None:
        """Return what a workload asks for; None if so little that no run would ever measure it."""
        rate = round(workload.request_rate_per_s or 0.0, FIGURE_DIGITS)
        return Offered(workload, rate) if rate > 0 else None

    def load_of(self, found: Candidate) -> float:
        """Return the rate as a share of what a candidate serves by the formula."""
        return self.requests_per_s / found.served.requests_per_s

    def guess_s(self, found: Candidate) -> float:
        """Return the mean time of a request by the formula, as a total of `total_s`.

        Where prompts run whole there is no such formula, and the stay at full load stands for it.
        """
        load = min(1.0, self.load_of(found))
        times = latencies_at(load, found.pipeline, self.workload, found.policy, found.served)
        return self.total_s(times.ttft_s, times.tpot_s) if times else found.served.residence_s

    def total_s(self, ttft_s: float, tpot_s: float) -> float:
        """Return the mean time from a request's arrival to its last token."""
        return ttft_s + (self.workload.output_tokens.mean - 1) * tpot_s

    def window(self, found: Candidate, scale: float, seed: int) -> Window:
        """Return what of a run is measured: the same for every candidate."""
        params = LATENCY_PARAMS
        warmup_s = params.warm_up_stays * self.stay_s
        few_s = params.measured_requests / self.requests_per_s
        measured_s = max(params.measured_stays * self.stay_s, few_s) * scale
        duration_s = round(warmup_s + measured_s, FIGURE_DIGITS)
        return Window(duration_s, round(warmup_s, FIGURE_DIGITS), seed)

    def work(self, found: Candidate, scale: float) -> float:
        """Return tokens times hops of a run, and what its steps add."""
        served, num_stages = found.served, len(found.pipeline.stages)
        duration_s = self.window(found, scale, 0).duration_s or 0.0
        tokens = duration_s * self.requests_per_s * self.workload.output_tokens.mean
        in_flight = min(served.in_flight, self.requests_per_s * self.stay_s)
        clump = clump_tokens(found.policy, max(1e-3, in_flight * served.hops / num_stages))
        return tokens * served.hops * (1 + SUSTAINED_PARAMS.step_work / clump)


def carrying_no_more(evaluated: Evaluated, needed: int) -> Evaluated:
    """Return a placement with its flow scaled down to what is needed, its routes' shares kept.

    A smaller flow stays as it is.

    Parameters
    ----------
    needed
        In 1e-6 tokens/s.
    """
    flow = evaluated.flow
    if flow.value <= needed:
        return evaluated
    # Rounded down, and then one more for as many as it takes: never above what the path had.
    amounts = [path.amount * needed // flow.value for path in flow.paths]
    left = needed - sum(amounts)
    paths = tuple(
        Path(path.stages, amount + (index < left))
        for index, (path, amount) in enumerate(zip(flow.paths, amounts, strict=True))
    )
    used = tuple(path for path in paths if path.amount)
    return replace(evaluated, flow=replace(flow, value=needed, paths=used))
