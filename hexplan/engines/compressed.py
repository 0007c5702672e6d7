"""Links whose activations the plan counts as compressed, which no engine of `export` does."""

from __future__ import annotations

from hexplan.cost.links import activation_bytes, compression
from hexplan.plan import Plan


def compressed_links(plan: Plan) -> tuple[str, ...]:
    """Return the pairs of hosts, as `ada > bob`, between which activations are compressed."""
    at = {stage.id: stage.host for stage in plan.stages}
    pairs = [
        (at[edge.source], at[edge.target])
        for edge in plan.edges
        if edge.source in at and edge.target in at
    ]
    found = (pair for pair in pairs if compression(plan.cluster, *pair) != "none")
    return tuple(dict.fromkeys(f"{source} > {target}" for source, target in found))


def uncompressed_note(plan: Plan, who: str) -> str | None:
    """Return how many more bytes an engine sends over these links; None if there are none."""
    links = compressed_links(plan)
    if not links:
        return None
    times = activation_bytes(plan.model) / activation_bytes(plan.model, "int8")
    named = ", ".join(links[:3]) + (f" and {len(links) - 3} more" if len(links) > 3 else "")
    return (
        f"{who} does not compress activations (`compress: int8` of {named}): there it sends"
        f" {times:.1f} times the bytes that the plan counts, so these links carry fewer tokens/s"
    )
