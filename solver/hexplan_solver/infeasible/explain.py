"""Which requirements together rule every plan out, or what the hosts lack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from hexplan.cluster import COORDINATOR
from hexplan.errors import InfeasibleError
from hexplan.spec import Spec
from hexplan_solver.infeasible.capacity import (
    capacity_hint,
    capacity_message,
    missing_layers,
    missing_words,
)
from hexplan_solver.infeasible.missing_rules import missing_rule_hint
from hexplan_solver.infeasible.params import INFEASIBLE_PARAMS
from hexplan_solver.infeasible.places import PlacePath, hosts_at_the_ends, place_paths
from hexplan_solver.infeasible.possible import is_impossible, is_too_small
from hexplan_solver.infeasible.requirements import (
    Requirement,
    memory_words,
    request_words,
    requirements_of,
    with_longest_request,
    with_memory_fraction,
    without_all,
)
from hexplan_solver.options import SolveOptions
from hexplan_solver.problem.problem import Problem, build_problem


def explain_infeasible(spec: Spec, options: SolveOptions | None = None) -> InfeasibleError | None:
    """Return why no plan exists, or None if it is not proved that none does.

    The error names requirements (pins, exclusions, `allow`, limits, the longest request) that
    together rule every plan out; without any one of them, the others do not. They are found by a
    deletion filter (Chinneck, Feasibility and Infeasibility in Optimization, 2008, section 6.2). If
    the error names none, the hosts and links cannot carry the model whatever is required.
    """
    options = replace(options or SolveOptions(), seed=0)
    if not is_impossible(spec, options):
        return None
    requirements = requirements_of(spec)
    bare = without_all(spec, requirements)
    if is_impossible(bare, options):
        return _hardware(bare, spec, options)
    needed = _needed(spec, requirements, options)
    alone = without_all(spec, [r for r in requirements if r not in needed])
    return _conflict(spec, alone, needed, options)


def _needed(
    spec: Spec, requirements: list[Requirement], options: SolveOptions
) -> list[Requirement]:
    """Drop each requirement without which there is still no plan; return the others."""
    dropped: list[Requirement] = []
    for requirement in requirements:
        if is_impossible(without_all(spec, [*dropped, requirement]), options):
            dropped.append(requirement)
    return [requirement for requirement in requirements if requirement not in dropped]


def _conflict(
    spec: Spec, alone: Spec, needed: list[Requirement], options: SolveOptions
) -> InfeasibleError:
    values = _values(spec, needed, options)
    problem = build_problem(alone)
    if missing_layers(problem) > 0:
        asked = build_problem(spec)
        problem = asked if missing_layers(asked) > 0 else problem
        others = [r.words for r in needed if r.words not in values]
        message = "; under ".join([capacity_message(problem), *others])
        fits = " or ".join(value for value in values.values())
        return InfeasibleError(message, hint=f"fits {fits}" if fits else capacity_hint(problem))
    if len(needed) == 1:
        message = f"no plan exists under {needed[0].words}"
    else:
        message = "no plan keeps all of these:" + "".join(f"\n  {w.words}" for w in needed)
    if any("`allow:" in requirement.words for requirement in needed):
        before = "\nso" if len(needed) > 1 else ":"
        message += before + _paths_words(spec, place_paths(problem))
    hint = "without any one of these, nothing rules a plan out" if len(needed) > 1 else "drop it"
    if values:
        hint += f"; it fits {' or '.join(values.values())}"
    return InfeasibleError(message, hint=hint)


def _values(spec: Spec, needed: list[Requirement], options: SolveOptions) -> dict[str, str]:
    """Say for each needed limit which value would do if everything else stays."""
    words, steps = {requirement.words for requirement in needed}, INFEASIBLE_PARAMS.limit_steps
    values: dict[str, str] = {}
    if memory_words(spec) in words:
        low = spec.cluster.limits.memory_fraction
        fraction = _first(
            [low + (1 - low) * i / steps for i in range(1, steps + 1)],
            lambda f: not is_impossible(with_memory_fraction(spec, f), options),
        )
        if fraction is not None:
            values[memory_words(spec)] = f"with `limits.memory_fraction: {float(fraction):.3g}`"
    if request_words(spec) in words:
        share = _first(
            [1 - Decimal(i) / steps for i in range(1, steps + 1)],
            lambda s: not is_impossible(with_longest_request(spec, s), options),
        )
        if share is not None:
            tokens = with_longest_request(spec, share).workload.max_tokens
            values[request_words(spec)] = f"with requests of at most {tokens} tokens"
    return values


def _first(values: list[Decimal], will_do: Callable[[Decimal], bool]) -> Decimal | None:
    """Return the first value that will do, by bisection; None if the last one will not.

    If a value will do, so will all after it.
    """
    low, high = 0, len(values) - 1
    if not will_do(values[high]):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if will_do(values[middle]) else (middle + 1, high)
    return values[low]


def _hardware(bare: Spec, spec: Spec, options: SolveOptions) -> InfeasibleError:
    """Say what the hosts lack, whatever is required: room, or links."""
    problem = build_problem(bare)
    asked = build_problem(spec)
    if missing_layers(problem) > 0:
        shown = asked if missing_layers(asked) > 0 else problem
        return InfeasibleError(capacity_message(shown), hint=capacity_hint(shown))
    if is_too_small(problem, options):
        message = f"the hosts cannot share the {problem.num_layers} layers of {spec.model.name}"
        return InfeasibleError(
            f"{message}: the first or the last layer brings more than they have left",
            hint=capacity_hint(problem),
        )
    message = f"the links do not join hosts that hold all {problem.num_layers} layers together"
    paths = place_paths(problem)
    return InfeasibleError(
        message + ":" + _paths_words(bare, paths),
        hint=missing_rule_hint(bare.cluster, coordinator_first=not paths),
    )


def _paths_words(spec: Spec, paths: list[PlacePath]) -> str:
    """Say through which hosts the links let a request pass, and how many layers these hold."""
    problem = build_problem(spec)
    if paths:
        shown = paths[: INFEASIBLE_PARAMS.max_told_paths]
        told = "".join(f"\n  {_path_words(problem, path)}" for path in shown)
        return " a request can pass only" + told
    cluster = spec.cluster
    first, last = hosts_at_the_ends(problem)
    if not any(cluster.link(COORDINATOR, host) is not None for host in first):
        reached = [h.name for h in cluster.hosts if cluster.link(COORDINATOR, h.name) is not None]
        if reached:
            return (
                f" the coordinator has links to {_listed(reached)} alone, "
                "where no host can hold the first layer"
            )
    elif not any(cluster.link(host, COORDINATOR) is not None for host in last):
        leaving = [h.name for h in cluster.hosts if cluster.link(h.name, COORDINATOR) is not None]
        if leaving:
            return (
                f" links to the coordinator come from {_listed(leaving)} alone, "
                "where no host can hold the last layer"
            )
    return " no host has a link from the coordinator and a way back to it"


def _listed(names: list[str]) -> str:
    most = INFEASIBLE_PARAMS.max_named_hosts
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more hosts" if more > 0 else "")


def _path_words(whole: Problem, path: PlacePath) -> str:
    problem = whole.only(path.hosts)
    cluster, short = whole.spec.cluster, missing_layers(problem)
    sites = dict.fromkeys(cluster.site_of(host) for host in path.hosts)
    rest = missing_words(problem, short) if short > 0 else "though not one after the other"
    return (
        f"{len(path.hosts)} of {len(cluster.hosts)} hosts, in {', '.join(sites)},"
        f" which hold {problem.num_layers - short} layers, {rest}"
    )
