"""Show a plan to people: its stages, its routes, what limits it, and what is proved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from decimal import Decimal
from itertools import compress, groupby
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from hexplan.engines.compressed import compressed_links
from hexplan.plan import Certificate, Plan, Route, Stage
from hexplan.render import words
from hexplan.render.aim_view import aim_lines
from hexplan.render.console import open_console
from hexplan.render.handover_view import UNDIVIDED, handover_lines, hop_words
from hexplan.render.sections import Part, Section, fits, print_part
from hexplan.results.robustness import NUM_WORLDS, robustness_of_plan

if TYPE_CHECKING:
    from rich.console import Console

MAX_ROUTES = 12
"""How many routes are listed one by one; the weights of the others are summed."""

FULL = Decimal("0.999")
"""A flow of this share of the cut uses it up: prices in a plan are rounded."""
ASKED = "the plan carries the rate that was asked, not the largest flow"
HELD_BACK = "the plan holds slow routes back for its latencies, so its flow is not the largest"


@dataclass(frozen=True, slots=True)
class StageWords:
    """One stage in words; each field is a column."""

    id: str
    """With a star where the stage is part of the bottleneck."""
    layers: str
    """Half-open range."""
    serves: str
    """Its phase, if stages of the plan differ in that; else empty."""
    host: str
    """Host name."""
    devices: str
    """What it runs on, and the shares if they differ."""
    load: str
    """Tokens/s that the plan sends, out of what the stage can pass."""
    memory: str
    """How full the fullest device is, in percent of its memory budget."""
    kv_tokens: str
    """Tokens of context that the KV cache holds."""


HEADINGS = StageWords(
    "stage", "layers", "serves", "host", "devices", "tokens/s", "memory", "KV tokens"
)


def plan_text(plan: Plan) -> str:
    """Return a plan as `show` prints it on stdout, which may be a terminal."""
    console = open_console(stderr=False)
    with console.capture() as capture:
        show_plan(plan, console)
    return capture.get()


def show_plan(plan: Plan, console: Console) -> None:
    """Print a plan in sections as wide as the console; colour carries no meaning."""
    for line in _headline(plan):
        print_part(line, console)
    for section in _sections(plan, console):
        console.print(Text(f"\n{section.title}", style="bold"))
        for part in section.parts:
            print_part(part, console)


def _headline(plan: Plan) -> Iterator[str]:
    cluster, predicted = plan.cluster, plan.predicted
    used = sum(stage.tp for stage in plan.stages)
    total = sum(len(host.devices) for host in cluster.hosts)
    yield (
        f"{cluster.name}: {plan.model.name} ({words.count(plan.model.layers, 'layer')},"
        f" {words.types(plan.model)}) on {used} of {words.count(total, 'device')}"
    )
    prompt, output = plan.workload.prompt_tokens.mean, plan.workload.output_tokens.mean
    yield (
        f"{words.rate(predicted.tokens_per_s)} tokens/s predicted:"
        f" {words.rate(predicted.requests_per_s)} requests/s of {prompt} + {output} tokens"
        f"{f', {UNDIVIDED}' if plan.is_split else ''}"
    )
    bases = ", ".join(f"{words.percent(b.share)} {b.origin}" for b in predicted.rests_on)
    yield (
        f"{words.rate(predicted.least_tokens_per_s)} to {words.rate(predicted.most_tokens_per_s)}"
        f" within the error of its speeds ({bases})"
    )
    yield _robustness(plan)
    yield from aim_lines(plan)
    if links := compressed_links(plan):
        yield (
            f"activations are compressed on {words.count(len(links), 'link')}: `launch` and `serve`"
            " do so, and the engines of `export` do not"
        )
    if plan.is_split:
        yield "`simulate` runs this plan; `launch` runs those of `limits: {phases: together}`"


def _robustness(plan: Plan) -> str:
    """Say what the plan passes with the routes that it has, if its speeds are off."""
    found, flow = robustness_of_plan(plan), float(plan.predicted.tokens_per_s)
    least, middle, most = (
        words.rate(Decimal(share * flow)) for share in (found.p5, found.median, found.p95)
    )
    return f"{least} to {most} in 90 % of {NUM_WORLDS} worlds within that error, median {middle}"


def _sections(plan: Plan, console: Console) -> Iterator[Section]:
    stages = {stage.id: stage for stage in plan.stages}
    yield Section("Stages", _stages(plan, console))
    if plan.handovers:
        yield Section(f"Handovers ({len(plan.handovers)})", handover_lines(plan))
    undivided = f", {UNDIVIDED}" if plan.is_split else ""
    yield Section(f"Routes ({len(plan.routes)}){undivided}", _routes(plan.routes, stages))
    yield Section("Bottleneck (*)", _bottleneck(plan, stages))
    if plan.unused:
        yield Section("Unused devices", _unused(plan))
    yield Section("Certificate", _certificate(plan))


def _stages(plan: Plan, console: Console) -> Iterator[Part]:
    binding = {term.constraint for term in plan.certificate.cut}
    rows = [_stage_words(plan, stage, f"stage:{stage.id}" in binding) for stage in plan.stages]
    table = _stage_table(rows)
    if fits(table, console):
        yield table
    else:
        yield from (line for row in rows for line in _stage_lines(row))


def _stage_words(plan: Plan, stage: Stage, is_binding: bool) -> StageWords:
    runs_on = (
        words.devices(stage.host, stage.devices, plan.cluster),
        words.sharing(stage),
        words.shares(stage),
    )
    return StageWords(
        id=stage.id + ("*" if is_binding else ""),
        layers=words.span(stage.layers),
        serves=stage.phase if plan.is_split else "",
        host=words.host(stage.host, plan.cluster),
        devices=", ".join(part for part in runs_on if part),
        load=words.load(stage.load_tokens_per_s, stage.capacity_tokens_per_s),
        memory=words.memory(stage),
        kv_tokens=f"{stage.room_tokens:,}",
    )


def _stage_table(rows: Sequence[StageWords]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    cells = zip(*(astuple(row) for row in rows), strict=True)
    filled = [any(column) for column in cells]
    for heading in compress(astuple(HEADINGS), filled):
        is_number = heading in (HEADINGS.load, HEADINGS.memory, HEADINGS.kv_tokens)
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=True)
    for row in rows:
        shown = compress(astuple(row), filled)
        table.add_row(*(Text(words.printable(cell)) for cell in shown))
    return table


def _stage_lines(row: StageWords) -> Iterator[str]:
    serves = f", {row.serves}" if row.serves else ""
    yield f"{row.id}: layers {row.layers} on {row.host}{serves}"
    yield f"  {row.devices}"
    yield f"  load {row.load} tokens/s"
    yield f"  memory {row.memory} full, KV cache for {row.kv_tokens} tokens"


def _routes(routes: tuple[Route, ...], stages: dict[str, Stage]) -> Iterator[str]:
    largest = sorted(routes, key=lambda route: -route.weight)
    for route in largest[:MAX_ROUTES]:
        hops = " > ".join(hop_words(hop.stage, hop.enter_layer, stages) for hop in route.hops)
        yield f"{words.percent(route.weight):>6}  {hops}"
    if rest := largest[MAX_ROUTES:]:
        weight = sum(route.weight for route in rest)
        yield f"{words.percent(weight):>6}  on {words.count(len(rest), 'smaller route')}"


def _bottleneck(plan: Plan, stages: dict[str, Stage]) -> Iterator[str]:
    certificate = plan.certificate
    if _is_used_up(certificate):
        yield "Every request needs a part of these, and they are used up:"
    else:
        most = words.rate(certificate.cut_tokens_per_s)
        is_balanced = plan.objective == "balanced"
        does = "holds slow routes back" if is_balanced else "sends only what was asked"
        yield f"The plan {does}. These would limit more, at {most} tokens/s:"
    for term in certificate.cut:
        yield f"  {words.constraint(term, stages)}"


def _is_used_up(certificate: Certificate) -> bool:
    """Say whether the flow is the largest of its stages, up to the rounding of the prices."""
    return certificate.flow_tokens_per_s >= certificate.cut_tokens_per_s * FULL


def _unused(plan: Plan) -> Iterator[str]:
    by_reason = groupby(plan.unused, key=lambda unused: (unused.host, unused.reason))
    for (host, reason), group in by_reason:
        left_out = [unused.device for unused in group]
        named = words.devices(host, left_out, plan.cluster)
        yield f"  {named} on {words.host(host, plan.cluster)}: {reason}"


def _certificate(plan: Plan) -> Iterator[str]:
    certificate = plan.certificate
    origins = sorted({(stage.speed_origin, stage.speed_error) for stage in plan.stages})
    told = (f"{origin} (within {words.percent(error)})" for origin, error in origins)
    if plan.solve.method != "hexplan":
        yield f"  method {plan.solve.method}, a baseline: it placed the layers"
    is_balanced = plan.objective == "balanced"
    word, why = ("held back", HELD_BACK) if is_balanced else ("as asked", ASKED)
    asked = "" if _is_used_up(certificate) else f", {word}"
    gap = f"none stated: {why}" if asked else words.gap(certificate.gap)
    for label, value in (
        ("flow", f"{words.rate(certificate.flow_tokens_per_s)} tokens/s{asked}"),
        ("cut", f"{words.rate(certificate.cut_tokens_per_s)} tokens/s at most here"),
        ("bound", f"{words.rate(certificate.bound_tokens_per_s)} tokens/s at most anywhere"),
        ("gap", gap),
        ("proof", certificate.proof.sentence),
        *_trusted(certificate),
        ("solver", certificate.status),
        ("speeds", "; ".join(told)),
    ):
        yield f"  {label:<8}{value}"


def _trusted(certificate: Certificate) -> Iterator[tuple[str, str]]:
    """Yield what is believed beyond the proof; `check` does not recompute it."""
    trusted = certificate.trusted
    if trusted is not None:
        most, gap = words.rate(trusted.tokens_per_s), words.gap(trusted.gap)
        yield "trusted", f"{most} tokens/s at most, gap {gap}, not recomputed by check"
        yield "", trusted.sentence
