"""The links: when what is sent arrives."""

from __future__ import annotations

from hexplan_solver.simulate.pipeline_model import PipelineModel


class Fabric:
    """Links, NICs and trunks, each of which passes messages on in the order of sending.

    Edges are numbered as in the pipeline, those for KV last. Edges between the same two stages are
    one link.

    A message has arrived when the slowest of them has passed it on and the latency is over. Each
    is busy with it for as long as it would take by itself; so what is wide carries several
    messages in the time of one, and what waits for a slow link holds nobody else up at the NIC.
    """

    def __init__(self, pipeline: PipelineModel) -> None:
        shared = pipeline.shared_bytes_per_s
        edges = (*pipeline.edges, *pipeline.kv_edges)
        links: dict[tuple[int, int], int] = {}
        self._edges = [
            (
                links.setdefault((edge.source, edge.target), len(links)),
                edge.token_bytes / edge.bytes_per_s,
                edge.latency_s,
                tuple((i, edge.token_bytes / shared[i]) for i in edge.shared),
            )
            for edge in edges
        ]
        self._link_free_s = [0.0] * len(links)
        self._shared_free_s = [0.0] * len(shared)

    def send(self, edge: int, tokens: int, now_s: float) -> float:
        """Return when so many tokens, sent now, will have arrived."""
        link, own_s, latency_s, ways = self._edges[edge]
        passed_s = self._link_free_s[link] = max(now_s, self._link_free_s[link]) + tokens * own_s
        for way, way_s in ways:
            free_s = max(now_s, self._shared_free_s[way]) + tokens * way_s
            self._shared_free_s[way] = free_s
            if free_s > passed_s:
                passed_s = free_s
        return passed_s + latency_s
