"""The work bound: what no placement on any network exceeds (docs/formulation.md 8)."""

from __future__ import annotations

from hexplan_solver.problem import HostClass, Problem, StageKind


def work_bound(problem: Problem) -> int:
    """Return the largest F, in 1e-6 tokens/s, for which the hosts can do the work of L layers.

    Every layer passes F tokens/s, and a stage of k layers adds at most min(T, F) to each of k
    layers. Exact in integers; monotone in F, so bisection finds it.
    """
    best = [_best_rates(kind) for kind in problem.kinds]
    total = problem.num_layers
    fastest = max((rate for rates in best for rate in rates.values()), default=0)
    low, high = 0, fastest * sum(_max_stages(c) for c in problem.classes)
    while low < high:
        middle = (low + high + 1) // 2
        work = sum(len(c.hosts) * _host_work(c, best, middle) for c in problem.classes)
        low, high = (middle, high) if work >= total * middle else (low, middle - 1)
    return low


def _max_stages(host_class: HostClass) -> int:
    per_host = max(sum(count for _, count in way) for way in host_class.partitions)
    return len(host_class.hosts) * per_host


def _best_rates(kind: StageKind) -> dict[int, int]:
    """Return the highest speed of a kind for each number of layers."""
    best: dict[int, int] = {}
    for first, end in kind.ranges():
        best[end - first] = max(best.get(end - first, 0), kind.rates.of(first, end))
    return best


def _host_work(host_class: HostClass, best: list[dict[int, int]], flow: int) -> int:
    """Return the layer-tokens per second that one host can add when every layer passes `flow`."""
    return max(
        sum(
            count * max((k * min(rate, flow) for k, rate in best[kind].items()), default=0)
            for kind, count in way
        )
        for way in host_class.partitions
    )
