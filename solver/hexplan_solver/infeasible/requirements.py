"""Requirements: what the user asks for beyond the hosts and the model, and could drop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from hexplan.cluster import Cluster, Exclusion, GroupPin, LayerPin, Link
from hexplan.spec import Spec
from hexplan.workload import Lengths

Drop = Callable[[Spec], Spec]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that the user could drop."""

    words: str
    """As the user wrote it."""
    drop: Drop
    """Returns a spec without it; the other requirements stay."""


def requirements_of(spec: Spec) -> list[Requirement]:
    """List all requirements, those first that should be named last."""
    cluster = spec.cluster
    return [
        *_limits(spec),
        *(Requirement(_exclusion(e), _without("exclusions", e)) for e in cluster.exclusions),
        *(Requirement(_group(p), _without("group_pins", p)) for p in cluster.group_pins),
        *_policies(cluster),
        *(Requirement(_layers(p), _without("layer_pins", p)) for p in cluster.layer_pins),
    ]


def without_all(spec: Spec, requirements: Iterable[Requirement]) -> Spec:
    """Return the spec without the given requirements."""
    for requirement in requirements:
        spec = requirement.drop(spec)
    return spec


def with_longest_request(spec: Spec, share: Decimal) -> Spec:
    """Return the spec with its longest request shortened to a share of its tokens."""
    sides = {
        name: _cut(getattr(spec.workload, name), share)
        for name in ("prompt_tokens", "output_tokens")
    }
    return replace(spec, workload=spec.workload.model_copy(update=sides))


def with_memory_fraction(spec: Spec, fraction: Decimal) -> Spec:
    """Return the spec with another share of each device's memory."""
    limits = spec.cluster.limits.model_copy(update={"memory_fraction": fraction})
    return _with(spec, limits=limits)


def _limits(spec: Spec) -> Iterable[Requirement]:
    if spec.cluster.limits.memory_fraction < 1:
        yield Requirement(memory_words(spec), lambda spec: with_memory_fraction(spec, Decimal(1)))
    yield Requirement(request_words(spec), lambda spec: with_longest_request(spec, Decimal(0)))


def memory_words(spec: Spec) -> str:
    """Return the words for the limit on memory, as the user writes it."""
    return f"`limits.memory_fraction: {float(spec.cluster.limits.memory_fraction):g}`"


def request_words(spec: Spec) -> str:
    """Return the words for the longest request, for which each stage keeps room in its KV cache."""
    return f"the longest request, {spec.workload.max_tokens} tokens"


def _cut(lengths: Lengths, share: Decimal) -> Lengths:
    longest = max(1, int(lengths.max * share))
    return Lengths(mean=min(lengths.mean, longest), max=longest)


def _policies(cluster: Cluster) -> list[Requirement]:
    """List the link rules that allow less than all; both directions of a pair are one."""
    by_ends: dict[tuple[frozenset[str], str], list[Link]] = {}
    for link in cluster.links:
        if link.allow != "all":
            ends = frozenset((link.source, link.target))
            by_ends.setdefault((ends, link.allow), []).append(link)
    return [Requirement(_policy(links), _allowing(links)) for links in by_ends.values()]


def _allowing(links: list[Link]) -> Drop:
    freed = {(link.source, link.target) for link in links}

    def drop(spec: Spec) -> Spec:
        changed = tuple(
            rule.model_copy(update={"allow": "all"})
            if (rule.source, rule.target) in freed
            else rule
            for rule in spec.cluster.links
        )
        return _with(spec, links=changed)

    return drop


def _without(field: str, item: LayerPin | GroupPin | Exclusion) -> Drop:
    def drop(spec: Spec) -> Spec:
        kept = tuple(other for other in getattr(spec.cluster, field) if other != item)
        return _with(spec, **{field: kept})

    return drop


def _with(spec: Spec, **update: object) -> Spec:
    return replace(spec, cluster=spec.cluster.model_copy(update=update))


def _layers(pin: LayerPin) -> str:
    first, end = pin.layers
    return f"the pin of {pin.host} to layers [{first}, {end}]"


def _group(pin: GroupPin) -> str:
    return f"the pin of {', '.join(f'{pin.host}/{d}' for d in pin.devices)} to the same stage"


def _exclusion(exclusion: Exclusion) -> str:
    place = exclusion.host if exclusion.device is None else f"{exclusion.host}/{exclusion.device}"
    return f"the exclusion of {place}"


def _policy(links: list[Link]) -> str:
    first = links[0]
    if first.source == first.target:
        return f"`allow: {first.allow}` within {first.source}"
    ends = (
        f"between {first.source} and {first.target}"
        if len(links) > 1
        else (f"from {first.source} to {first.target}")
    )
    return f"`allow: {first.allow}` {ends}"
