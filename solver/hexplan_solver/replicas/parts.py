"""What one host can give to a replica, and which of these go together in an engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement, islice, product

from hexplan.engines import ENGINES, LLAMACPP, VLLM, Engine, splits_tensors
from hexplan.host import Host
from hexplan_solver.problem.problem import Problem, StageKind
from hexplan_solver.replicas.params import REPLICA_PARAMS


@dataclass(frozen=True, slots=True)
class HostPart:
    """Stages that a replica has on one host, one after the other."""

    host_class: int
    """Position in `Problem.classes`."""
    kinds: tuple[int, ...]
    """Kind of each stage: positions in `Problem.kinds`."""


@dataclass(frozen=True, slots=True)
class Family:
    """Parts that may form a replica together, in any number and order unless it has a main part."""

    parts: tuple[HostPart, ...]
    main: HostPart | None = None
    """The part with the last stage, through which all others reach each other."""

    @property
    def most_parts(self) -> int | None:
        """The most parts beside the main one: each lies between two of its devices or before."""
        return None if self.main is None else len(self.main.kinds)


def devices_of(problem: Problem, part: HostPart) -> Counter[str]:
    """Return how many devices of each type a part takes."""
    return Counter(name for kind in part.kinds for name in problem.kinds[kind].group)


def host_of(problem: Problem, host_class: int) -> Host:
    """Return a host of a class."""
    return problem.spec.cluster.host_by_name[problem.classes[host_class].hosts[0]]


def families(problem: Problem) -> tuple[Family, ...]:
    """Return the families of replicas that the engine of the spec runs."""
    engine = ENGINES[problem.spec.cluster.limits.engine]
    if engine.star_of_hosts:
        return tuple(_stars(problem, engine))
    return tuple(_grids(problem, engine))


def every_choice(problem: Problem, family: Family, most: int) -> list[tuple[HostPart, ...]]:
    """Return all that may stand beside the main part of a family, or alone; nothing if too many.

    Parameters
    ----------
    most
        Choices above which there are too many.
    """
    by_class: dict[int, list[HostPart]] = {}
    for part in family.parts:
        by_class.setdefault(part.host_class, []).append(part)
    found: list[tuple[HostPart, ...]] = [()]
    for number, parts in by_class.items():
        own = family.main is not None and family.main.host_class == number
        hosts = len(problem.classes[number].hosts) - own
        choices = islice(
            (
                choice
                for length in range(hosts + 1)
                for choice in combinations_with_replacement(parts, length)
            ),
            most + 1,
        )
        found = [(*one, *choice) for one, choice in islice(product(found, choices), most + 1)]
        if len(found) > most:
            return []
    longest = family.most_parts
    return [one for one in found if one and (longest is None or len(one) <= longest)]


def any_families(problem: Problem) -> tuple[Family, ...]:
    """Return families that keep to no engine, and those of the engines that run replicas alone.

    The first have one degree, or parts of every degree and whole hosts with stages of unlike ones.
    The others have the shapes that an engine needs, which prices find with less noise around them.
    """
    by_degree: dict[int, list[HostPart]] = {}
    whole: list[HostPart] = []
    for number, host_class in enumerate(problem.classes):
        if not host_class.hosts:
            continue
        machines = max(1, len(host_of(problem, number).parts))
        for part in _parts(problem, number, list(_kinds(problem, number)), machines):
            by_degree.setdefault(len(problem.kinds[part.kinds[0]].group), []).append(part)
        for partition in host_class.partitions[: REPLICA_PARAMS.most_parts]:
            kinds = tuple(kind for kind, count in partition for _ in range(count))
            if len({len(problem.kinds[kind].group) for kind in kinds}) > 1:
                whole.append(HostPart(number, kinds))
    found = [tuple(by_degree[degree]) for degree in sorted(by_degree)]
    every = tuple(part for parts in found for part in parts) + tuple(whole)
    own = [*map(Family, dict.fromkeys([*found, every]))]
    stars = list(_stars(problem, LLAMACPP))
    if sum(1 + len(star.parts) for star in stars) > REPLICA_PARAMS.most_star_parts:
        stars = []
    return tuple(dict.fromkeys([*own, *_grids(problem, VLLM), *stars]))


def _grids(problem: Problem, engine: Engine) -> Iterator[Family]:
    """Yield families of one degree, with equally many ranks on each machine."""
    found: dict[tuple[int, int, str], list[HostPart]] = {}
    for number, host_class in enumerate(problem.classes):
        if not host_class.hosts:
            continue
        kinds = [kind for kind in _kinds(problem, number) if _is_even(kind)]
        platforms = {kind.index: _platforms(problem, kind) for kind in kinds}
        kinds = [kind for kind in kinds if len(platforms[kind.index]) == 1]
        machines = max(1, len(host_of(problem, number).parts))
        for part in _parts(problem, number, kinds, machines):
            used = {platforms[kind] for kind in part.kinds}
            ranks = sum(devices_of(problem, part).values())
            if len(used) > 1 or ranks % machines or not _is_level(problem, number):
                continue
            degree = len(problem.kinds[part.kinds[0]].group)
            key = degree, ranks // machines, next(iter(next(iter(used))))
            found.setdefault(key, []).append(part)
    for key in sorted(found):
        yield Family(tuple(found[key]))


def _is_level(problem: Problem, number: int) -> bool:
    """Say whether the machines of a joined host have equally many devices."""
    parts = host_of(problem, number).parts
    return len({len(part.devices) for part in parts}) <= 1


def _stars(problem: Problem, engine: Engine) -> Iterator[Family]:
    """Yield families of one stage of several devices, and of a main part of single devices."""
    alone: list[HostPart] = []
    chains: list[HostPart] = []
    for number, host_class in enumerate(problem.classes):
        if not host_class.hosts or host_of(problem, number).parts:
            continue
        kinds = list(_kinds(problem, number))
        model = problem.spec.model
        several = [kind for kind in kinds if len(kind.group) > 1]
        alone += [
            HostPart(number, (kind.index,))
            for kind in several
            if splits_tensors(model, engine, len(kind.group))
        ]
        single = [kind for kind in kinds if len(kind.group) == 1]
        chains += _parts(problem, number, single, 1)
    for part in alone:
        yield Family((), part)
    for main in chains:
        yield Family(tuple(chains), main)


def _kinds(problem: Problem, number: int) -> Iterator[StageKind]:
    """Yield the kinds of stages of a class."""
    return (kind for kind in problem.kinds if kind.host_class == number)


def _is_even(kind: StageKind) -> bool:
    return len({(size.kv_heads, size.ffn) for size in kind.sizes}) == 1


def _platforms(problem: Problem, kind: StageKind) -> frozenset[str]:
    types = problem.spec.cluster.device_type_by_name
    return frozenset(types[name].kind for name in kind.group)


def _parts(
    problem: Problem, number: int, kinds: list[StageKind], machines: int
) -> Iterator[HostPart]:
    """Yield the parts of hosts of a class whose stages have equally many devices."""
    most = _most_devices(problem, number)
    for degree in sorted({len(kind.group) for kind in kinds}):
        of_degree = [kind.index for kind in kinds if len(kind.group) == degree]
        longest = 1 if machines > 1 else sum(most.values()) // degree
        for length in range(1, min(longest, problem.num_layers) + 1):
            choices = combinations_with_replacement(of_degree, length)
            found = (HostPart(number, choice) for choice in choices)
            fitting = (part for part in found if devices_of(problem, part) <= most)
            yield from islice(fitting, REPLICA_PARAMS.most_parts)


def _most_devices(problem: Problem, number: int) -> Counter[str]:
    """Return the devices of each type that hosts of a class can use."""
    most: Counter[str] = Counter()
    for partition in problem.classes[number].partitions:
        inside: Counter[str] = Counter()
        for kind, count in partition:
            for name in problem.kinds[kind].group:
                inside[name] += count
        most |= inside
    return most
