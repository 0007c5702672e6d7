"""What all pictures of a plan show: hosts by site, their stages, and how much each edge carries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hexplan.plan import Edge, Plan, Stage
from hexplan.render import words
from hexplan.render.handover_view import UNDIVIDED


@dataclass(frozen=True, slots=True)
class HostPart:
    """A host in use."""

    name: str
    devices: str
    """Its devices in use, such as `2 x L4`."""
    stages: tuple[Stage, ...]
    is_cut: bool
    """Whether its network card is a bottleneck."""


@dataclass(frozen=True, slots=True)
class SitePart:
    """A site with hosts in use."""

    name: str
    hosts: tuple[HostPart, ...]


@dataclass(frozen=True, slots=True)
class GraphParts:
    """A plan, sorted for drawing."""

    plan: Plan
    sites: tuple[SitePart, ...]
    cut: frozenset[str]
    """Names of the constraints of the minimum cut."""

    @classmethod
    def of(cls, plan: Plan) -> GraphParts:
        """Sort a plan: sites, hosts and stages as requests meet them, by their first layer."""
        cut = frozenset(term.constraint for term in plan.certificate.cut)
        by_site: dict[str, list[HostPart]] = {}
        for host in plan.cluster.hosts:
            stages = sorted((s for s in plan.stages if s.host == host.name), key=_position)
            if stages:
                kinds = Counter(host.devices[d] for s in stages for d in s.devices)
                devices = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
                is_cut = bool(cut & {f"nic-in:{host.name}", f"nic-out:{host.name}"})
                part = HostPart(host.name, devices, tuple(stages), is_cut)
                by_site.setdefault(host.site, []).append(part)
        for hosts in by_site.values():
            hosts.sort(key=lambda host: _position(host.stages[0]))
        sites = tuple(SitePart(name, tuple(hosts)) for name, hosts in by_site.items())
        sites = tuple(sorted(sites, key=lambda site: _position(site.hosts[0].stages[0])))
        return cls(plan, sites, cut)

    def share(self, edge: Edge) -> float:
        """Return an edge's share of the whole flow."""
        return float(edge.tokens_per_s / self.plan.certificate.flow_tokens_per_s)

    def is_cut_stage(self, stage: Stage) -> bool:
        """Say whether a stage is a bottleneck."""
        return f"stage:{stage.id}" in self.cut

    def is_cut_edge(self, edge: Edge) -> bool:
        """Say whether an edge is a bottleneck, by itself or with the others between its hosts."""
        hosts = {stage.id: stage.host for stage in self.plan.stages}
        ends = [hosts.get(end, "coordinator") for end in (edge.source, edge.target)]
        names = {f"link:{edge.source}>{edge.target}", f"pair:{ends[0]}>{ends[1]}"}
        return bool(self.cut & names)

    @property
    def title(self) -> str:
        """Name, model and flow in a line."""
        flow = words.rate(self.plan.certificate.flow_tokens_per_s)
        undivided = f" {UNDIVIDED}" if self.plan.is_split else ""
        return f"{self.plan.cluster.name}: {self.plan.model.name}, {flow} tokens/s{undivided}"


def stage_label(stage: Stage) -> str:
    """Return a stage's id and layers."""
    label = f"{stage.id} {words.span(stage.layers)}"
    return label if stage.phase == "both" else f"{label} {stage.phase}"


def edge_label(share: float) -> str:
    """Return an edge's share of the flow in per cent."""
    return words.percent(share)


def identifiers(names: Sequence[str], prefix: str) -> dict[str, str]:
    """Return a plain word for each name, whatever characters it has."""
    return {name: f"{prefix}{index}" for index, name in enumerate(names)}


def _position(stage: Stage) -> tuple[int, int, str]:
    return (*stage.layers, stage.id)
