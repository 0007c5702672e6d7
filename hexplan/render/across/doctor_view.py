"""Show what a doctor found on hosts and edges."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hexplan.plan import Plan
from hexplan.render import words

if TYPE_CHECKING:
    from hexplan.cluster import Link
    from hexplan_runtime.launch.doctor import Diagnosis, EdgeDiagnosis, HostDiagnosis

LEAST_SHARE = 0.5
"""An edge is in order if it carries this share of the plan's bandwidth, ..."""
MOST_TIMES = 2.0
"""... and takes at most so many times the plan's latency, or..."""
LATENCY_S = 0.002
"""... no more than this beyond it: what a process takes to answer."""


def doctor_text(plan: Plan, diagnosis: Diagnosis) -> str:
    """Return what was found, one line for each thing, with what helps where something is wrong."""
    lines = [line for host in diagnosis.hosts for line in _host_lines(host)]
    lines += [line for edge in diagnosis.edges for line in _edge_lines(plan, edge)]
    number = len(problems(plan, diagnosis))
    verdict = "all is well" if not number else words.count(number, "problem")
    return "\n".join([*lines, f"{verdict}, {words.duration(diagnosis.elapsed_s)}", ""])


def doctor_json(plan: Plan, diagnosis: Diagnosis) -> str:
    """Return the same for programs."""
    hosts = [
        {
            "host": host.host,
            "address": host.address,
            "findings": [finding.model_dump() for finding in host.findings],
        }
        for host in diagnosis.hosts
    ]
    edges: list[dict[str, Any]] = [
        {
            "from": edge.source,
            "to": edge.target,
            "caller": edge.caller,
            "listener": edge.listener,
            "address": edge.address,
            "latency_s": edge.trial and edge.trial.latency_s,
            "bytes_per_s": edge.trial and edge.trial.bytes_per_s,
            "is_plain": _is_plain(plan, edge),
            "is_open_back": edge.is_open_back,
            "problem": edge_problem(plan, edge),
        }
        for edge in diagnosis.edges
    ]
    return json.dumps({"hosts": hosts, "edges": edges}, indent=2) + "\n"


def problems(plan: Plan, diagnosis: Diagnosis) -> list[str]:
    """Return all that is wrong."""
    found = [f.problem for host in diagnosis.hosts for f in host.findings if f.problem is not None]
    return found + [p for edge in diagnosis.edges if (p := edge_problem(plan, edge)) is not None]


def edge_problem(plan: Plan, edge: EdgeDiagnosis) -> str | None:
    """Return what is wrong with an edge, if something is."""
    if edge.trial is None:
        return "was not tried"
    if edge.trial.latency_s is None:
        return f"{edge.caller} cannot reach {edge.listener} at {edge.address}"
    planned = _link(plan, edge)
    if planned is None:
        return None
    most_s = max(MOST_TIMES * float(planned.latency_s), float(planned.latency_s) + LATENCY_S)
    if edge.trial.latency_s > most_s:
        return f"latency above the planned {words.latency(float(planned.latency_s))}"
    rate = edge.trial.bytes_per_s
    if rate is not None and rate < LEAST_SHARE * float(planned.bandwidth_bytes_per_s):
        return (
            f"less than half the planned {words.bandwidth(Decimal(planned.bandwidth_bytes_per_s))}"
        )
    return None


def _is_plain(plan: Plan, edge: EdgeDiagnosis) -> bool:
    """Say whether a launch sends in plain what takes this edge."""
    return plan.cluster.is_trusted(edge.caller, edge.listener)


def _link(plan: Plan, edge: EdgeDiagnosis) -> Link | None:
    """Return the plan's link in the direction that was measured."""
    return plan.cluster.link(edge.caller, edge.listener)


def _host_lines(host: HostDiagnosis) -> Iterator[str]:
    yield f"host {host.host} at {host.address}"
    for finding in host.findings:
        if finding.problem is None:
            yield f"  {finding.subject}: {words.printable(finding.found)}"
        else:
            yield f"  {finding.subject}: PROBLEM: {words.printable(finding.problem)}"
            yield from _hint_lines(finding.hint)


def _edge_lines(plan: Plan, edge: EdgeDiagnosis) -> Iterator[str]:
    name = f"edge {edge.source} > {edge.target}, called by {edge.caller}"
    trial, problem = edge.trial, edge_problem(plan, edge)
    found = []
    if trial is not None and trial.latency_s is not None:
        found.append(words.latency(trial.latency_s))
        if trial.bytes_per_s is not None:
            found.append(words.bandwidth(Decimal(trial.bytes_per_s)))
    planned = _link(plan, edge)
    if planned is not None and found:
        latency = words.latency(float(planned.latency_s))
        found.append(
            f"planned {latency}, {words.bandwidth(Decimal(planned.bandwidth_bytes_per_s))}"
        )
    yield f"{name}: {'; '.join([', '.join(found[:2]), *found[2:]]) or 'nothing measured'}"
    if _is_plain(plan, edge):
        site = words.printable(plan.cluster.site_of(edge.listener))
        yield f"  plain in a launch: site {site} is trusted"
    if problem is not None:
        yield f"  PROBLEM: {problem}"
        yield from _hint_lines(_edge_hint(edge))


def _edge_hint(edge: EdgeDiagnosis) -> str:
    if edge.trial is None:
        return f"first put {edge.listener} and {edge.caller} in order; `--timeout` gives more time"
    if edge.trial.latency_s is None and edge.is_open_back:
        return (
            f"{edge.listener} reaches {edge.caller}: with `--behind-nat {edge.listener}` it calls"
            " there instead"
        )
    if edge.trial.latency_s is None:
        return (
            f"let {edge.caller} through to {edge.listener} in the firewall there; `--first-port`"
            " chooses the ports"
        )
    return "`hexplan probe` measures links for an overlay, and `hexplan solve` plans with it"


def _hint_lines(hint: str | None) -> Iterator[str]:
    for line in words.printable(hint or "").splitlines():
        yield f"    {line}"
