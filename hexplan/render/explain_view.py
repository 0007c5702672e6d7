"""Show an explanation to people: bottleneck, possible gains, idle devices, degrees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from hexplan.cluster import Parallel
from hexplan.render import words
from hexplan.render.handover_view import UNDIVIDED
from hexplan.render.sections import Part, Section, sections_text, table
from hexplan.render.technique_view import techniques
from hexplan.results.explanation import (
    Binding,
    Degree,
    DegreeOption,
    EngineCost,
    Explanation,
    Gain,
    Group,
    PhaseStages,
)

MAX_HOSTS = 4
"""How many hosts one line names."""
MAX_OBSTACLES = 4
"""How many places of a free plan are named that an engine does not run."""
MAX_BINDING = 12
"""How many capacities of the cut are listed one by one."""


def explanation_text(explanation: Explanation) -> str:
    """Return an explanation as `explain` prints it on stdout."""
    return sections_text(_sections(explanation))


def explanation_json(explanation: Explanation) -> str:
    """Return an explanation as JSON."""
    return explanation.model_dump_json(indent=2) + "\n"


def _sections(explanation: Explanation) -> Iterator[Section]:
    yield Section("", _gap(explanation))
    if explanation.phases:
        yield Section("Phases", _phases(explanation.phases))
    if explanation.engine is not None:
        yield Section("Engine", _engine(explanation.engine))
    if explanation.techniques:
        yield Section("Techniques", techniques(explanation.techniques))
    yield Section("Bottleneck", _bottleneck(explanation))
    yield Section("What more would bring", _gains(explanation.gains))
    if explanation.idle:
        yield Section("Idle devices", _idle(explanation))
    yield Section("Degrees", _degrees(explanation))


def _gap(explanation: Explanation) -> Iterator[Part]:
    flow, bound = explanation.flow_tokens_per_s, explanation.bound_tokens_per_s
    sent = explanation.sent_tokens_per_s
    if sent is not None:
        yield f"{words.rate(sent)} tokens/s are sent, as asked; the stages could pass more:"
    if flow == bound:
        yield f"{words.rate(flow)} tokens/s, proved the largest of all plans"
    else:
        gap = words.gap((bound - flow) / flow)
        most = words.rate(bound)
        yield f"{words.rate(flow)} tokens/s; no plan passes more than {most} (gap {gap})"
    yield f"  proof: {explanation.bound_proof}"
    for part in explanation.gap_parts:
        yield f"  {words.rate(part.tokens_per_s)} {part.what}"


def _phases(phases: tuple[PhaseStages, ...]) -> Iterator[Part]:
    for part in phases:
        yield f"  {part.phase}: {_some(part.stages)}"
    yield f"  All other sections are about the same stages {UNDIVIDED}."


def _engine(cost: EngineCost) -> Iterator[Part]:
    free, own = words.rate(cost.free_tokens_per_s), words.rate(cost.flow_tokens_per_s)
    if not cost.lost:
        yield f"  {cost.engine} costs no flow: no free plan was found that passes more than {own}"
        return
    lost = f"{words.percent(cost.lost)} less"
    yield f"  free plan {free} tokens/s, {cost.engine} plan {own}: {lost}, as far as was searched"
    for obstacle in cost.obstacles[:MAX_OBSTACLES]:
        yield f"  the free plan's {obstacle}"
    rest = len(cost.obstacles) - MAX_OBSTACLES
    if rest > 0:
        yield f"  and {words.count(rest, 'place')} more that {cost.engine} does not run"


def _bottleneck(explanation: Explanation) -> Iterator[Part]:
    flow = words.rate(explanation.flow_tokens_per_s)
    yield f"  Used up at {flow} tokens/s, with the share of the flow that each limits:"
    for binding in explanation.bottleneck[:MAX_BINDING]:
        alone = f"; twice as much of it alone brings {_plus(binding.alone_tokens_per_s)}"
        told = f"{binding.subject}: {_capacity(binding)}{alone}"
        yield f"  {words.percent(binding.share):>6}  {told}"
    rest = explanation.bottleneck[MAX_BINDING:]
    if rest:
        share = sum((binding.share for binding in rest), Decimal(0))
        yield f"  {words.percent(share):>6}  {len(rest)} more of them"


def _capacity(binding: Binding) -> str:
    if binding.constraint.startswith(("stage", "link")):
        return f"{words.rate(binding.capacity)} tokens/s"
    return words.bandwidth(binding.capacity)


def _gains(gains: tuple[Gain, ...]) -> Iterator[Part]:
    rows = [
        (
            gain.change,
            "not sought" if gain.found_tokens_per_s is None else _plus(gain.found_tokens_per_s),
            _plus(gain.at_most_tokens_per_s),
        )
        for gain in gains
    ]
    yield table(("change", "found", "at most"), rows, 2)
    yield "  tokens/s; `found` has a plan, `at most` is proved for every plan"


def _plus(tokens_per_s: Decimal) -> str:
    return f"+{words.rate(tokens_per_s)}" if tokens_per_s else "+0"


def _idle(explanation: Explanation) -> Iterator[Part]:
    for idle in explanation.idle:
        named = ", ".join(idle.hosts[:MAX_HOSTS])
        more = f" and {len(idle.hosts) - MAX_HOSTS} more" if len(idle.hosts) > MAX_HOSTS else ""
        gain = ""
        if idle.best_layers is not None:
            gain = f" (+{words.rate(idle.best_gain_tokens_per_s)} tokens/s)"
        yield f"  {idle.count} x {idle.device} on {named}{more}: {idle.reason}{gain}"


def _degrees(explanation: Explanation) -> Iterator[Part]:
    alone = [degree for degree in explanation.degrees if not degree.options]
    if alone:
        stages = tuple(stage for degree in alone for stage in degree.stages)
        yield f"  {_some(stages)}: no other way for their devices"
    for degree in explanation.degrees:
        if not degree.options:
            continue
        way = _way(degree.parallel, len(degree.group), degree.sp_degree)
        yield (
            f"  {_some(degree.stages)}: {way} of {_devices(degree.group)},"
            f" {words.count(degree.layers[1] - degree.layers[0], 'layer')},"
            f" {words.rate(degree.tokens_per_s)} tokens/s"
        )
        yield from _options(degree)


def _options(degree: Degree) -> Iterator[Part]:
    for option in degree.options:
        told = f"stopped: {option.stopped}"
        if option.tokens_per_s is not None:
            told = f"{words.rate(option.tokens_per_s)} tokens/s"
        yield f"    {_groups(option)}: {told}"


def _groups(option: DegreeOption) -> str:
    tensor: Parallel = "tp"
    ways = option.parallel or (tensor,) * len(option.groups)
    degrees = [degree or 0 for degree in option.sp_degrees or (None,) * len(option.groups)]
    sizes = Counter(zip(map(len, option.groups), ways, degrees, strict=True))
    named = " + ".join(
        f"{count} x {_way(way, size, degree or None)}"
        for (size, way, degree), count in sorted(sizes.items(), reverse=True)
    )
    if len({group for group in option.groups}) > 1:
        named = " + ".join(_devices(group) for group in option.groups)
    layers = "+".join(map(str, option.layers))
    how = {
        "in turn": f"one after the other, {layers} layers",
        "side by side": f"side by side, {layers} layers",
        "joined": f"joined with the host's other stages, {layers} layers",
    }[option.arrangement]
    return f"{named} {how}"


def _way(parallel: Parallel, size: int, sp_degree: int | None) -> str:
    name = parallel.upper() if parallel != "shift" else "Shift"
    return f"{name}{words.degrees(size, sp_degree)}"


def _devices(group: Group) -> str:
    return " + ".join(f"{count} x {name}" for name, count in Counter(group).items())


def _some(stages: tuple[str, ...]) -> str:
    if len(stages) > MAX_HOSTS:
        return f"{', '.join(stages[:MAX_HOSTS])} and {len(stages) - MAX_HOSTS} more"
    return ", ".join(stages)
