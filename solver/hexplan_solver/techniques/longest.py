"""The longest request, where devices have no room for it: whether host memory counts."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hexplan.cost import ShardSizes
from hexplan.cost.memory import kv_bytes_per_token
from hexplan.errors import InfeasibleError, LimitReached
from hexplan.spec import Spec
from hexplan.units import GIB
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.infeasible.possible import is_impossible
from hexplan_solver.infeasible.requirements import with_longest_request
from hexplan_solver.options import SolveOptions


def may_count_host_memory(spec: Spec) -> bool:
    """Say whether stages may need host memory for the longest request, and did not so far."""
    cluster = spec.cluster
    is_asked = cluster.techniques.kv_offload == "on" and cluster.limits.engine == "hexplan"
    return is_asked and not spec.counts_host_memory


def counting_host_memory(spec: Spec) -> Spec:
    """Return the spec for plans whose stages need host memory for the longest request."""
    return replace(spec, counts_host_memory=True)


def refuse_entries_inside(found: Evaluated) -> None:
    """Raise if a route enters inside a stage where host memory counts: nothing foresees its needs.

    Raises
    ------
    LimitReached
        The search should find no such route.
    """
    stages = found.network.stages
    for path in found.flow.paths:
        if not all(found.network.enters_well(*arc) for arc in path.arcs):
            names = ", ".join(f"{stages[i].host} {stages[i].layers}" for i in path.stages)
            message = f"no plan was found whose requests enter stages at their first layer: {names}"
            raise LimitReached(message, hint="raise `limits.time`")


def with_host_memory_told(
    spec: Spec, reason: InfeasibleError, options: SolveOptions
) -> InfeasibleError:
    """Return the reason with what host memory has to do with it.

    Nothing has if it may not be used, or if shorter requests would not help either.
    """
    asked, cluster = spec.cluster.techniques, spec.cluster
    if asked.kv_offload == "off" or cluster.limits.engine != "hexplan":
        return reason
    if is_impossible(with_longest_request(spec, Decimal(0)), options):
        return reason
    model, tokens = spec.model, spec.workload.max_tokens
    whole = ShardSizes(model.kv_heads, model.ffn, model.vocab)
    needed = tokens * kv_bytes_per_token(model, whole, (0, model.layers))
    there = sum(asked.memory_of(host) or 0 for host in cluster.hosts)
    words = "host memory does not help enough"
    hint = "state more `host_memory` if there is some, or a smaller `kv_fraction`"
    if not spec.counts_host_memory:
        words = "with `kv_offload: auto`, host memory does not count for it"
        hint = "with `kv_offload: on` it does"
    message = (
        f"{reason.message}; {words}: the {tokens} tokens of the longest request take"
        f" {needed / GIB:.1f} GiB of keys and values in all layers, and the hosts state"
        f" {there / GIB:.1f} GiB of `host_memory`"
    )
    return InfeasibleError(message, hint=f"{hint}; or {reason.hint}" if reason.hint else hint)
