"""The round trip of a decoded token, by a mean-field model (docs/served_rate.md).

Decodes travel in clumps, as those that wait for the same step go on together; a clump that meets a
prompt waits for it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.served.load import Load, load_of
from hexplan_solver.served.request import MeanRequest
from hexplan_solver.served.scheduler import SCHEDULER, clump_tokens
from hexplan_solver.served.shares import Shares
from hexplan_solver.served.visits import (
    Around,
    Stop,
    Visit,
    Way,
    balanced,
    crossings_of,
    stop_of,
    way_of,
)
from hexplan_solver.simulate import PipelineModel, Policy


class RoundTrip:
    """Times of a mean request, as a function of the rate of requests."""

    def __init__(
        self,
        pipeline: PipelineModel,
        shares: Shares,
        request: MeanRequest,
        in_flight: float,
        policy: Policy,
    ) -> None:
        self._request = request
        self._policy = policy
        self._in_flight = in_flight / shares.hops**SCHEDULER.spreading
        stops = [
            stop_of(
                stage,
                Visit(share, held, stage.layers[1] == pipeline.num_layers, entries, streams),
                share * self._in_flight,
                request,
                policy,
            )
            for stage, share, held, entries, streams in zip(
                pipeline.stages,
                shares.stages,
                shares.held_layers,
                shares.entries,
                shares.streams,
                strict=True,
            )
            if share > 0
        ]
        self._ways = [
            way_of(pipeline, edge, share, request)
            for edge, share in zip(pipeline.edges, shares.edges, strict=True)
        ]
        ends = ((edge.source, edge.target) for edge in pipeline.edges)
        self._way_of = dict(zip(ends, self._ways, strict=True))
        self._crossings = crossings_of(pipeline, shares, request)
        last = max(stop.model.layers[1] for stop in stops)
        heads = [stop for stop in stops if stop.model.layers[1] == last]
        head_s = sum(stop.share * stop.model.steps.head_s(stop.batch) for stop in heads)
        moves_s = sum(
            way.share * (way.latency_s + self._clump(way.share) * way.token_s) for way in self._ways
        )
        self.idle_s = head_s + moves_s + sum(stop.share * stop.decode_s for stop in stops)
        """The round trip where nothing waits."""
        visited = [position for position, share in enumerate(shares.stages) if share > 0]
        links_s = self._links_s(visited)
        self._stops = balanced(stops, request, Around(in_flight, self.idle_s, links_s))
        self._stop_at = dict(zip(visited, self._stops, strict=True))
        self._prompts_s = [self._traverse_s(size) for size in request.prompt_sizes]
        self._leads_s = [self._lead_s(size) for size in request.prompt_sizes]
        self._overlap = self._shared_part()

    def _links_s(self, positions: Sequence[int]) -> list[float]:
        """Return the least seconds between two requests on the links to stages, or from them."""
        into, out = defaultdict[int, float](float), defaultdict[int, float](float)
        for (source, target), way in self._way_of.items():
            per_s = 1 / (way.token_s * (way.prompt_tokens + self._request.decode_tokens))
            into[target] += per_s
            out[source] += per_s
        return [1 / min(into[position], out[position]) for position in positions]

    def _clump(self, share: float) -> float:
        """Return the decodes that cross an edge together."""
        return clump_tokens(self._policy, share * self._in_flight)

    def at(self, requests_per_s: float) -> tuple[float, float] | None:
        """Return the round trip and the time of a prompt in seconds; nothing beyond capacity."""
        wait_s = self._wait_s(requests_per_s)
        if wait_s is None:
            return None
        behind_s = self._behind_s(requests_per_s, self.idle_s + wait_s)
        prompt_s = sum(self._prompts_s) / len(self._prompts_s)
        return self.idle_s + wait_s + behind_s, prompt_s + wait_s

    def along(self, route: Sequence[int], requests_per_s: float) -> tuple[float, float]:
        """Return the round trip and the time of a prompt on one route, with waits at its stages.

        The mean over all routes leaves out what decodes wait for prompts and shared links.

        Parameters
        ----------
        route
            Its stages, by position.
        requests_per_s
            What arrives at all routes together; beyond the capacity of a stage, waits are endless.
        """
        stops = [self._stop_at[position] for position in route]
        ways = [self._way_of[ends] for ends in pairwise((OUTSIDE, *route, OUTSIDE))]
        wait_s = sum(load_of(s, requests_per_s * s.share, self._request).wait_s for s in stops)
        moves_s = sum(w.latency_s + self._clump(w.share) * w.token_s for w in ways)
        head_s = stops[-1].model.steps.head_s(stops[-1].batch)
        round_s = head_s + moves_s + wait_s + sum(stop.decode_s for stop in stops)
        prompts_s = [self._passing_s(stops, ways, size) for size in self._request.prompt_sizes]
        return round_s, wait_s + sum(prompts_s) / len(prompts_s)

    def busy_at(self, requests_per_s: float) -> float:
        """Return the share of the time in which the busiest stage runs a step."""
        return max(load.busy for _, load in self._loads(requests_per_s))

    def _loads(self, requests_per_s: float) -> Iterator[tuple[float, Load]]:
        """Yield the share of requests that visit each stage, and its load."""
        for stop in self._stops:
            arriving = requests_per_s * stop.share
            yield stop.share, load_of(stop, arriving, self._request)

    def _traverse_s(self, size: float) -> float:
        """Return how long a prompt takes through an idle pipeline: chunks follow each other."""
        through, after = 0.0, 0.0
        for stop in self._stops:
            chunk = min(size, stop.chunk)
            chunk_s = stop.prompt_s(chunk)
            through += stop.share * chunk_s
            after = max(after, (size / chunk - 1) * chunk_s)
        moves_s = sum(
            w.share * (w.latency_s + w.token_s * min(size, w.prompt_tokens)) for w in self._ways
        )
        return through + after + moves_s

    @staticmethod
    def _passing_s(stops: Sequence[Stop], ways: Sequence[Way], size: float) -> float:
        """Return how long a prompt takes on one route where nothing waits."""
        chunks = [(min(size, stop.chunk), stop) for stop in stops]
        times = [(size / chunk - 1, stop.prompt_s(chunk)) for chunk, stop in chunks]
        moves_s = sum(w.latency_s + w.token_s * min(size, w.prompt_tokens) for w in ways)
        return sum(s for _, s in times) + max(more * s for more, s in times) + moves_s

    def _shared_part(self) -> float:
        """Return the part of its time for which a prompt is where a clump passes."""
        tokens = self._request.prompt_tokens
        times = [(stop.share, stop.prompt_s(tokens)) for stop in self._stops]
        times += [(way.share, way.token_s * way.prompt_tokens) for way in self._ways]
        return sum(f * f * s for f, s in times) / sum(f * s for f, s in times)

    def _lead_s(self, size: float) -> float:
        """Return how much longer a prompt takes than a clump, which gains so much on it.

        Decodes overtake what waits at a stage, so there the first chunk alone can be ahead. On the
        slowest link chunks queue, and none overtakes.
        """
        chunk = min(size, self._policy.chunk_tokens or size)
        lead_s, train_s = 0.0, 0.0
        for stop in self._stops:
            chunk_s = stop.prompt_s(min(size, stop.chunk))
            lead_s += stop.share * max(0.0, chunk_s - stop.decode_s)
        for way in self._ways:
            ahead = min(chunk, way.prompt_tokens) - self._clump(way.share)
            lead_s += way.share * way.token_s * max(0.0, ahead)
            queue = max(0.0, min(size, way.prompt_tokens) - chunk)
            train_s = max(train_s, way.share**2 * way.token_s * queue)
        return lead_s + train_s

    def _behind_s(self, requests_per_s: float, free_s: float) -> float:
        """Return how long a clump follows the prompt ahead of it, in the mean.

        Prompts enter at random; one that entered `a` ago is caught if the clump gains more than
        that, and then holds the clump for the difference.
        """
        rate = requests_per_s * self._overlap
        total = 0.0
        for lead_s in self._leads_s:
            if lead_s > 0 and rate > 0:
                held_s = SCHEDULER.catching * (lead_s + math.expm1(-rate * lead_s) / rate)
                held_s = min(held_s, lead_s)
                once = rate * (lead_s - free_s / 2)
                if lead_s > free_s and once < 1:
                    held_s = min(held_s, SCHEDULER.catching * free_s * once / (1 - once))
                total += held_s
        return total / len(self._leads_s)

    def _wait_s(self, requests_per_s: float) -> float | None:
        """Return the time that a clump waits at busy stages and links on one round."""
        total, request = 0.0, self._request
        for share, load in self._loads(requests_per_s):
            if load.busy >= 1:
                return None
            total += share * load.wait_s
        for way in self._crossings:
            all_s = way.prompt_s + request.decode_tokens * way.token_s
            busy = requests_per_s * way.share * all_s
            if busy >= 1:
                return None
            total += SCHEDULER.waiting * way.share * busy / (1 - busy) * way.prompt_s
        return total
