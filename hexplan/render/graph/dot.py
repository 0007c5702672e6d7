"""Graphviz's language, for `dot -Tsvg`."""

from __future__ import annotations

from collections.abc import Iterator

from hexplan.plan import ENTRY, EXIT, Plan
from hexplan.render.graph.parts import GraphParts, edge_label, stage_label

_WIDEST_POINTS = 8
_CUT = ' color="#cc0000"'


def dot(plan: Plan) -> str:
    """Return a plan as a graph from left to right; bottlenecks are red."""
    return "\n".join(_lines(GraphParts.of(plan))) + "\n"


def _lines(parts: GraphParts) -> Iterator[str]:
    plan = parts.plan
    yield f"digraph {_quoted(plan.cluster.name)} {{"
    yield f"  rankdir=LR; label={_quoted(parts.title)}; node [shape=box];"
    yield f"  {ENTRY} [shape=oval]; {EXIT} [shape=oval];"
    for number, site in enumerate(parts.sites):
        yield f"  subgraph cluster_{number} {{ label={_quoted(site.name)};"
        for index, host in enumerate(site.hosts):
            label = _quoted(f"{host.name}: {host.devices}")
            yield f"    subgraph cluster_{number}_{index} {{ label={label};"
            for stage in host.stages:
                cut = _CUT if parts.is_cut_stage(stage) else ""
                yield f"      {_quoted(stage.id)} [label={_quoted(stage_label(stage))}{cut}];"
            yield "    }"
        yield "  }"
    for edge in plan.edges:
        share = parts.share(edge)
        width = f"{max(0.5, _WIDEST_POINTS * share):.1f}"
        cut = _CUT if parts.is_cut_edge(edge) else ""
        look = f"label={_quoted(edge_label(share))} penwidth={width}{cut}"
        yield f"  {_quoted(edge.source)} -> {_quoted(edge.target)} [{look}];"
    yield "}"


def _quoted(text: str) -> str:
    """Quote a string; what is not printable is left out, as the language cannot write it."""
    plain = "".join(c for c in text if c.isprintable())
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
