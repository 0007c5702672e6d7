"""Helix's headline: throughput and latencies of placements on 24 and 42 machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from statistics import fmean
from typing import Literal

from headline_columns import (
    Column,
    column_of_method,
    is_overloaded,
    mean_tpot_s,
    mean_ttft_s,
    own_column,
    published_column,
    published_placement,
    spec_named,
)

from hexplan.cluster import Scheduling
from hexplan.errors import InfeasibleError
from hexplan.plan import Objective
from hexplan.spec import Spec
from hexplan_solver import SolveOptions
from hexplan_solver.served.request import spread_lengths
from hexplan_solver.simulate import Offline, Outcome, Poisson, Window

FULL = Window(660.0, 60.0)
"""The published window for as many requests as fit."""
LOADED = Window(1200.0, 300.0)
"""The window at a part of that load: without the ramp of the published one."""
FAST: tuple[Objective, ...] = ("latency", "balanced")
"""What hexplan plans for in rows about latency."""
LOAD = 0.75
"""Share of the rate that Helix's placement serves at most, at which latencies are measured."""


@dataclass(frozen=True, slots=True)
class Paper:
    """What the artifact's notes state for Helix / SWARM / separate pipelines."""

    throughput: str
    """Decode tokens/s, offline."""
    prompt: str
    """Median prompt latency, online, each method at a load of its own."""
    decode: str
    """Median time from token to token, online."""


PAPER = {
    "single24-30b": Paper("339.6 / 151.6 / 309.0", "0.43 / 1.42 / 0.42", "0.13 / 0.26 / 0.11"),
    "single24-70b": Paper("252.1 / 124.7 / 124.3", "2.64 / 3.32 / 0.80", "0.98 / 1.04 / 0.22"),
    "geo24-30b": Paper("232.7 / 98.7 / 223.2", "0.51 / 3.25 / 0.50", "0.23 / 0.48 / 0.23"),
    "geo24-70b": Paper("98.0 / 51.9 / 61.9", "5.79 / 7.22 / 4.96", "0.93 / 1.23 / 1.20"),
    "high42-70b": Paper("645.6 / 473.2 / 219.3", "2.09 / 2.70 / 2.21", "0.73 / 0.77 / 0.47"),
}
"""The artifact's `ae_readme.md` (Helix, ASPLOS 2025, figures 5, 6 and 7)."""
MACHINES = {
    "single24": "helix-single24-llama70b",
    "geo24": "helix-geo24-llama30b",
    "high42": "helix-high42-llama70b",
}
MODELS = {"30b": "helix-geo24-llama30b", "70b": "helix-single24-llama70b"}
"""Specs with the model, and with speeds for 24 machines, of which both clusters have the same."""


Load = Literal["all", "helix", "least"]
"""As many requests as fit; or `LOAD` times what Helix's placement serves, or the least of the three
others."""
PARTS: tuple[tuple[Load, str], ...] = (("helix", ""), ("least", "-low"))
"""Loads of the rows about latency, and how their names end."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a row asks."""

    name: str
    asks: str
    """In words, with the unit."""
    scheduling: Scheduling
    """How all columns run prompts."""
    paper: Callable[[Paper], str]
    figure: Callable[[Sequence[Outcome]], float]
    load_of: Load = "all"
    """At which load; less is better if it is a part."""

    @property
    def is_latency(self) -> bool:
        """Whether the figure is a time."""
        return self.load_of != "all"


QUESTIONS = (
    Question(
        "throughput",
        "decode tokens/s",
        "chunked",
        lambda paper: paper.throughput,
        lambda runs: fmean(run.decode_tokens_per_s for run in runs),
    ),
    Question(
        "whole",
        "decode tokens/s, whole prompts",
        "whole",
        lambda paper: paper.throughput,
        lambda runs: fmean(run.decode_tokens_per_s for run in runs),
    ),
    *(
        Question(
            f"{name}{suffix}",
            f"{name} latency, s",
            "chunked",
            read,
            figure,
            load_of,
        )
        for load_of, suffix in PARTS
        for name, read, figure in (
            ("prompt", lambda paper: paper.prompt, mean_ttft_s),
            ("decode", lambda paper: paper.decode, mean_tpot_s),
        )
    ),
)
NAMES = [f"{cluster}/{question.name}" for cluster in PAPER for question in QUESTIONS]
HEADER = (
    "| cluster | what | the paper: Helix / SWARM / separate | Helix | SWARM | separate | hexplan |"
    " hexplan, times better than the best other |\n|---|---|---|---|---|---|---|---|"
)


def helix_spec(name: str, scheduling: Scheduling = "chunked") -> Spec:
    """Return one of the paper's clusters with one of its models."""
    machines, model = name.split("-")
    spec = spec_named(MACHINES[machines])
    source = spec_named(MODELS[model]) if machines != "high42" else spec
    limits = spec.cluster.limits.model_copy(update={"policy": scheduling})
    update = {"name": name, "profiles": source.cluster.profiles, "limits": limits}
    return Spec(spec.cluster.model_copy(update=update), source.model, source.workload)


def helix_placement(name: str) -> dict[str, tuple[int, int]]:
    """Return the placement that Helix's MILP found for a cluster and a model."""
    if name != "single24-30b":
        machines, model = name.split("-")
        return published_placement(f"helix-{machines}-llama{model}__helix")
    # Three pipelines, one for each type of machine, whose machines are alike.
    hosts = [host.name for host in helix_spec(name).cluster.hosts]
    found: dict[str, tuple[int, int]] = {}
    for kind in ("a100", "l4", "t4"):
        layers = published_placement(f"helix-single24-{kind}-llama30b__helix").values()
        own = (host for host in hosts if host.startswith(f"{kind}-"))
        found |= dict(zip(own, layers, strict=True))
    return found


def helix_rows(names: Sequence[str], options: SolveOptions, seeds: range) -> Iterator[str]:
    """Yield a row for each name, `CLUSTER/QUESTION`."""
    asked = {question.name: question for question in QUESTIONS}
    for name in names:
        cluster, _, question = name.partition("/")
        yield _row(cluster, asked[question], options, seeds)


def _row(cluster: str, question: Question, options: SolveOptions, seeds: range) -> str:
    trial = _trial(Setting(cluster, question.scheduling, question.load_of), options, seeds)
    own = min(trial.own, key=lambda one: (one.tried.is_late, question.figure(one.tried.outcomes)))
    columns = [*trial.theirs, own.shown]
    figures = [None if one.is_late else question.figure(one.outcomes) for one in columns]
    asks = question.asks
    if trial.requests_per_s:
        asks += f", {trial.requests_per_s:.2f} requests/s"
    *theirs, ours = figures
    cells = [cluster, asks, question.paper(PAPER[cluster]), *map(_shown, figures)]
    cells[-1] += f" ({own.objective})"
    return "| " + " | ".join([*cells, _ratio(ours, theirs, question)]) + " |"


@dataclass(frozen=True, slots=True)
class Setting:
    """What rows that differ only in what they read from the runs have in common."""

    cluster: str
    scheduling: Scheduling
    load_of: Load


@dataclass(frozen=True, slots=True)
class Runs:
    """What a column did in the simulator."""

    outcomes: Sequence[Outcome]
    is_late: bool
    """Whether ever more requests wait."""


@dataclass(frozen=True, slots=True)
class Own:
    """One of hexplan's plans."""

    objective: Objective
    """What it was planned for."""
    tried: Runs
    """With another seed than the rows': a row takes the plan that does best here."""
    shown: Runs


@dataclass(frozen=True, slots=True)
class Trial:
    """The simulations of all columns."""

    requests_per_s: float
    """At which requests come; 0 if as many come as fit."""
    theirs: Sequence[Runs]
    own: Sequence[Own]


@cache
def _trial(setting: Setting, options: SolveOptions, seeds: range) -> Trial:
    """Plan and simulate."""
    spec = helix_spec(setting.cluster, setting.scheduling)
    others = [
        published_column(spec, helix_placement(setting.cluster)),
        *(column_of_method(spec, method) for method in ("swarm", "separate")),
    ]
    lengths = spread_lengths(spec.workload)
    if setting.load_of == "all":
        full = Offline(lengths)
        own_runs = Runs(own_column(spec, "sustained", options).run(full, FULL, seeds), False)
        theirs = [Runs(column.run(full, FULL, seeds), False) for column in others]
        return Trial(0.0, theirs, [Own("sustained", own_runs, own_runs)])
    loading = others if setting.load_of == "least" else others[:1]
    most = min(_most_requests_per_s(column, spec, seeds) for column in loading)
    rate = round(LOAD * most, 3)

    def runs(column: Column, of_seeds: range) -> Runs:
        outcomes = column.run(Poisson(rate, lengths), LOADED, of_seeds)
        return Runs(outcomes, any(map(is_overloaded, outcomes)))

    workload = spec.workload.model_copy(update={"request_rate_per_s": rate})
    plans = _fast_columns(replace(spec, workload=workload), options)
    own = [Own(name, runs(plan, range(1)), runs(plan, seeds)) for name, plan in plans.items()]
    return Trial(rate, [runs(column, seeds) for column in others], own)


def _fast_columns(spec: Spec, options: SolveOptions) -> dict[Objective, Column]:
    """Plan for latency and for balance.

    A rate that no plan for latency carries has none.
    """
    found: dict[Objective, Column] = {}
    for objective in FAST:
        with suppress(InfeasibleError):
            found[objective] = own_column(spec, objective, options)
    return found


def _most_requests_per_s(column: Column, spec: Spec, seeds: range) -> float:
    runs = column.run(Offline(spread_lengths(spec.workload)), FULL, seeds)
    return fmean(run.decode_tokens_per_s for run in runs) / spec.workload.output_tokens.mean


def _shown(figure: float | None) -> str:
    return "overloaded" if figure is None else f"{figure:.1f}" if figure > 20 else f"{figure:.3f}"


def _ratio(own: float | None, theirs: Sequence[float | None], question: Question) -> str:
    known = [figure for figure in theirs if figure is not None]
    if own is None or not known:
        return ""
    return f"{min(known) / own if question.is_latency else own / max(known):.2f}"
