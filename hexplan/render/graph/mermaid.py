"""Mermaid's flowcharts, which wikis and code hosts draw in Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from hexplan.plan import ENTRY, EXIT, Plan
from hexplan.render.graph.parts import (
    GraphParts,
    HostPart,
    edge_label,
    identifiers,
    stage_label,
)

_WIDEST_PX = 8


def mermaid(plan: Plan) -> str:
    """Return a plan as a flowchart from left to right; bottlenecks are red."""
    return "\n".join(_lines(GraphParts.of(plan))) + "\n"


def _lines(parts: GraphParts) -> Iterator[str]:
    plan = parts.plan
    ends = [ENTRY, *(stage.id for stage in plan.stages), EXIT]
    ids = identifiers(ends, "n")
    yield "---"
    yield f"title: {_quoted(parts.title)}"
    yield "---"
    yield "flowchart LR"
    yield f"  {ids[ENTRY]}([entry])"
    yield f"  {ids[EXIT]}([exit])"
    for number, site in enumerate(parts.sites):
        yield f"  subgraph site{number}[{_quoted(site.name)}]"
        for index, host in enumerate(site.hosts):
            yield f"    subgraph host{number}_{index}[{_quoted(f'{host.name}: {host.devices}')}]"
            yield from (f"      {line}" for line in _stages(host, ids))
            yield "    end"
        yield "  end"
    for edge in plan.edges:
        label = edge_label(parts.share(edge))
        yield f'  {ids[edge.source]} -->|"{label}"| {ids[edge.target]}'
    for index, edge in enumerate(plan.edges):
        width = max(1, round(_WIDEST_PX * parts.share(edge)))
        colour = ",stroke:#c00" if parts.is_cut_edge(edge) else ""
        yield f"  linkStyle {index} stroke-width:{width}px{colour}"
    cut = [ids[stage.id] for stage in plan.stages if parts.is_cut_stage(stage)]
    yield "  classDef cut stroke:#c00,stroke-width:3px"
    if cut:
        yield f"  class {','.join(cut)} cut"


def _stages(host: HostPart, ids: dict[str, str]) -> Iterator[str]:
    for stage in host.stages:
        yield f"{ids[stage.id]}[{_quoted(stage_label(stage))}]"


def _quoted(text: str) -> str:
    """Quote a label: characters that could end it or begin markup are written by their number."""
    plain = (c if c.isalnum() or c in " -_.,:()/" else f"#{ord(c)};" for c in text)
    return f'"{"".join(plain)}"'
