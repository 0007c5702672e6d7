"""The links: when what is sent arrives."""

from __future__ import annotations

from hexplan_solver.simulate.pipeline import Pipeline


class Fabric:
    """Links, NICs and trunks, each busy with one message after the other.

    A message waits until its link and all NICs and trunks on its way are free. It goes at the
    speed of the slowest of them, and keeps each busy for as long as it would take by itself; so
    what is wide carries several messages in the time of one.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        shared = pipeline.shared_bytes_per_s
        self._edges = [
            (
                edge.token_bytes / edge.bytes_per_s,
                edge.token_bytes / min([edge.bytes_per_s, *(shared[i] for i in edge.shared)]),
                edge.latency_s,
                tuple((i, edge.token_bytes / shared[i]) for i in edge.shared),
            )
            for edge in pipeline.edges
        ]
        self._edge_free_s = [0.0] * len(pipeline.edges)
        self._shared_free_s = [0.0] * len(shared)

    def send(self, edge: int, tokens: int, now_s: float) -> float:
        """Return when so many tokens, sent now, will have arrived."""
        own_s, slowest_s, latency_s, ways = self._edges[edge]
        begin_s = max(now_s, self._edge_free_s[edge])
        for way, _ in ways:
            if self._shared_free_s[way] > begin_s:
                begin_s = self._shared_free_s[way]
        self._edge_free_s[edge] = begin_s + tokens * own_s
        for way, way_s in ways:
            self._shared_free_s[way] = begin_s + tokens * way_s
        return begin_s + tokens * slowest_s + latency_s
