"""Which wishes together leave no plan, or what the machines lack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from hexplan.cluster import COORDINATOR
from hexplan.errors import InfeasibleError
from hexplan.spec import Spec
from hexplan_solver.infeasible.places import Way, hosts_at_the_ends, ways_of
from hexplan_solver.infeasible.possible import is_impossible, is_too_small
from hexplan_solver.infeasible.room import room_hint, room_message, short_layers, short_words
from hexplan_solver.infeasible.wishes import (
    Wish,
    drop_all,
    memory_words,
    request_words,
    wishes_of,
    with_longest_request,
    with_memory_fraction,
)
from hexplan_solver.options import SolveOptions
from hexplan_solver.problem.problem import Problem, build_problem

PARTS = 100
"""Limits are tried in so many steps, to say which value would do."""
FEW = 4
"""So many hosts are named."""


def explain_infeasible(spec: Spec, options: SolveOptions | None = None) -> InfeasibleError | None:
    """Return why no plan exists, or None where that is not proved.

    The wishes named (pins, exclusions, `allow`, limits, the longest request) leave no plan by
    themselves, and no smaller part of them does: a deletion filter (Chinneck, Feasibility and
    Infeasibility in Optimization, 2008, section 6.2). Where none is named, the machines and links
    do not carry the model whatever the wishes.
    """
    options = replace(options or SolveOptions(), seed=0)
    if not is_impossible(spec, options):
        return None
    wishes = wishes_of(spec)
    if is_impossible(drop_all(spec, wishes), options):
        return _hardware(drop_all(spec, wishes), spec, options)
    needed = _needed(spec, wishes, options)
    alone = drop_all(spec, [wish for wish in wishes if wish not in needed])
    return _conflict(spec, alone, needed, options)


def _needed(spec: Spec, wishes: list[Wish], options: SolveOptions) -> list[Wish]:
    """Drop wish after wish for good, as long as no plan exists; what is left is needed."""
    dropped: list[Wish] = []
    for wish in wishes:
        if is_impossible(drop_all(spec, [*dropped, wish]), options):
            dropped.append(wish)
    return [wish for wish in wishes if wish not in dropped]


def _conflict(
    spec: Spec, alone: Spec, needed: list[Wish], options: SolveOptions
) -> InfeasibleError:
    values = _values(spec, needed, options)
    problem = build_problem(alone)
    if short_layers(problem) > 0:
        asked = build_problem(spec)
        problem = asked if short_layers(asked) > 0 else problem
        others = [wish.words for wish in needed if wish.words not in values]
        message = "; under ".join([room_message(problem), *others])
        fits = " or ".join(value for value in values.values())
        return InfeasibleError(message, hint=f"fits {fits}" if fits else room_hint(problem))
    if len(needed) == 1:
        message = f"no plan exists under {needed[0].words}"
    else:
        message = "no plan keeps all of these:" + "".join(f"\n  {w.words}" for w in needed)
    if any("`allow:" in wish.words for wish in needed):
        before = "\nso" if len(needed) > 1 else ":"
        message += before + _ways_words(spec, ways_of(problem))
    hint = "without any one of these, nothing rules a plan out" if len(needed) > 1 else "drop it"
    if values:
        hint += f"; it fits {' or '.join(values.values())}"
    return InfeasibleError(message, hint=hint)


def _values(spec: Spec, needed: list[Wish], options: SolveOptions) -> dict[str, str]:
    """Say for each limit that is needed which value would do, all else being as it is."""
    words = {wish.words for wish in needed}
    found: dict[str, str] = {}
    if memory_words(spec) in words:
        low = spec.cluster.limits.memory_fraction
        fraction = _first(
            [low + (1 - low) * i / PARTS for i in range(1, PARTS + 1)],
            lambda f: not is_impossible(with_memory_fraction(spec, f), options),
        )
        if fraction is not None:
            found[memory_words(spec)] = f"with `limits.memory_fraction: {float(fraction):.3g}`"
    if request_words(spec) in words:
        share = _first(
            [1 - Decimal(i) / PARTS for i in range(1, PARTS + 1)],
            lambda s: not is_impossible(with_longest_request(spec, s), options),
        )
        if share is not None:
            tokens = with_longest_request(spec, share).workload.max_tokens
            found[request_words(spec)] = f"with requests of at most {tokens} tokens"
    return found


def _first(values: list[Decimal], does: Callable[[Decimal], bool]) -> Decimal | None:
    """Return the first value that does, where the last one does; all after it do as well."""
    low, high = 0, len(values) - 1
    if not does(values[high]):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if does(values[middle]) else (middle + 1, high)
    return values[low]


def _hardware(bare: Spec, spec: Spec, options: SolveOptions) -> InfeasibleError:
    """Say what the machines lack, whatever the wishes: room, or links."""
    problem = build_problem(bare)
    asked = build_problem(spec)
    if short_layers(problem) > 0:
        shown = asked if short_layers(asked) > 0 else problem
        return InfeasibleError(room_message(shown), hint=room_hint(shown))
    if is_too_small(problem, options):
        message = f"the hosts cannot share the {problem.num_layers} layers of {spec.model.name}"
        return InfeasibleError(
            f"{message}: the first or the last layer brings more than they have left",
            hint=room_hint(problem),
        )
    message = f"the links do not join hosts that hold all {problem.num_layers} layers together"
    return InfeasibleError(
        message + ":" + _ways_words(bare, ways_of(problem)),
        hint="add rules under `links`: pairs that no rule names are unconnected",
    )


def _ways_words(spec: Spec, ways: list[Way]) -> str:
    """Say what the links leave to a request: which hosts together, and what those hold."""
    problem = build_problem(spec)
    if ways:
        told = "".join(f"\n  {_way_words(problem, way)}" for way in ways[:PARTS])
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
    more = len(names) - FEW
    return ", ".join(names[:FEW]) + (f" and {more} more hosts" if more > 0 else "")


def _way_words(whole: Problem, way: Way) -> str:
    problem = whole.only(way.hosts)
    cluster, short = whole.spec.cluster, short_layers(problem)
    sites = dict.fromkeys(cluster.site_of(host) for host in way.hosts)
    rest = short_words(problem, short) if short > 0 else "though not one after the other"
    return (
        f"{len(way.hosts)} of {len(cluster.hosts)} hosts, in {', '.join(sites)},"
        f" which hold {problem.num_layers - short} layers, {rest}"
    )
