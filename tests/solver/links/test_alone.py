"""Hosts and sites that serve by themselves."""

from __future__ import annotations

from support.clusters import host, link, profile, spec_of, tiny_model

from hexplan.constants import MICRO
from hexplan.spec import Spec
from hexplan_solver.flow.evaluate import evaluate
from hexplan_solver.flow.flow_program import FlowProgram
from hexplan_solver.links.alone import alone_starts
from hexplan_solver.links.link_search import LinkSearch
from hexplan_solver.links.params import LINK_PARAMS
from hexplan_solver.options import SolveOptions, be_silent
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.run import Run

MODEL = tiny_model(4)


def apart(*sites: tuple[str, int]) -> Spec:
    """Single devices at sites between which eight tokens/s pass; each holds two layers."""
    slow = 8 * MODEL.hidden * MODEL.dtype_bytes
    hosts = [
        host(f"{site}-{i}", ["d0"] * count, site)
        for site, count in sites
        for i in range(2 if count == 1 else 1)
    ]
    names = [site for site, _ in sites]
    links = [link(a, b) if a == b else link(a, b, slow) for a in names for b in names]
    return spec_of(MODEL, hosts, profiles=[profile("d0", [200, 100])], links=links)


def flows(spec: Spec) -> list[int]:
    problem = build_problem(spec)
    run = Run(spec, SolveOptions(time_limit_s=20), be_silent)
    search = LinkSearch(run, problem, FlowProgram(problem), LINK_PARAMS)
    return [
        evaluate(problem, start).value // MICRO if start else 0
        for start in alone_starts(search, 10)
    ]


def test_hosts_that_hold_the_model_serve_beside_each_other() -> None:
    assert flows(apart(("a", 2), ("b", 2)))[0] == 200


def test_hosts_that_do_not_hold_it_serve_together_at_their_site() -> None:
    by_host, by_site = flows(apart(("a", 1), ("b", 1)))
    assert by_host == 0
    assert by_site == 200


def test_a_site_that_cannot_serve_stays_idle() -> None:
    assert flows(apart(("a", 2), ("b", 1)))[0] == 100
