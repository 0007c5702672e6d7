"""The split of a flow: among the largest flows of a placement, one that serves more.

Decodes that travel together are held up behind a prompt wherever they meet it. How often they meet
grows with the squares of the stages' and links' shares of the flow, each weighted by the time that
a prompt takes there (`overlap` in docs/served_rate.md). So the flow is spread over alternatives.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array

from hexplan.constants import MICRO
from hexplan_solver.flow.network import OUTSIDE, Arc, Network
from hexplan_solver.flow.routes import Flow, paths_of
from hexplan_solver.objectives.sustained.candidate import Candidate, with_flow
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS
from hexplan_solver.served.request import mean_request

Floats = NDArray[np.float64]


def spread(found: Candidate) -> Candidate:
    """Return the candidate with a spread flow, unless its own serves clearly more."""
    network, own = found.evaluated.network, found.evaluated.flow
    if len(network.arcs) == sum(len(path.arcs) for path in own.paths):
        return found  # a single chain offers nothing to split
    flows = _Even(found).flows()
    if flows is None:
        return found
    shrink = SUSTAINED_PARAMS.split_shrink
    paths = paths_of(network, [int(x * shrink * MICRO) for x in flows])
    flow = Flow(sum(path.amount for path in paths), paths, own.cut)
    other = with_flow(replace(found.evaluated, flow=flow), found.policy)
    kept = 1 - SUSTAINED_PARAMS.split_slack
    is_worse = other.served.decode_tokens_per_s < found.served.decode_tokens_per_s * kept
    return found if is_worse else other


class _Even:
    """Minimise the weighted squares of stage and link flows over all largest flows.

    By conditional gradients (Frank and Wolfe, 1956): each step finds a min-cost flow by an LP, and
    moves to the best point on the line to it.
    """

    def __init__(self, found: Candidate) -> None:
        self._network = found.evaluated.network
        self._value = found.evaluated.value / MICRO
        self._arcs = self._network.arcs
        request = mean_request(self._network.spec.workload, found.policy)
        tokens = int(request.prompt_tokens)
        stage_s = [
            (stage.layers[1] - stage.layers[0])
            * stage.steps.layer_s(tokens, tokens * tokens / 2, 0, 0)
            for stage in found.pipeline.stages
        ]
        self._stage_s = np.array(stage_s)
        self._arc_s = np.array([_prompt_s(arc, tokens) for arc in self._arcs])
        self._into = _incidence(self._arcs, len(stage_s), "target")
        self._out_of = _incidence(self._arcs, len(stage_s), "source")
        self._shared, self._limits = _shared_rows(self._network)

    def flows(self) -> Floats | None:
        """Return a flow in tokens/s for each arc, or None if the LP finds none."""
        current = self._cheapest(self._arc_s + self._into.T @ self._stage_s)
        for _ in range(SUSTAINED_PARAMS.split_rounds):
            if current is None:
                return None
            gradient = self._gradient(current)
            corner = self._cheapest(gradient)
            if corner is None:
                return current
            line = corner - current
            slope, bend = float(gradient @ line), float(self._gradient(line) @ line)
            if slope >= 0 or bend <= 0:
                return current
            current = current + min(1.0, -slope / bend) * line
        return current

    def _gradient(self, flows: Floats) -> Floats:
        """Return half the gradient of the weighted sum of squares."""
        stages: Floats = self._into.T @ (self._stage_s * (self._into @ flows))
        return stages + self._arc_s * flows

    def _cheapest(self, costs: Floats) -> Floats | None:
        is_last = np.array([float(arc.target == OUTSIDE) for arc in self._arcs])
        rates = np.array([stage.rate / MICRO for stage in self._network.stages])
        upper = csr_array(np.vstack([self._into.toarray(), self._shared]))
        equal = np.vstack([(self._into - self._out_of).toarray(), is_last])
        target = np.append(np.zeros(len(rates)), self._value)
        found = linprog(  # type: ignore[call-overload]  # scipy takes sparse matrices, its stubs do not
            costs,
            A_ub=upper,
            b_ub=np.append(rates, self._limits),
            A_eq=csr_array(equal),
            b_eq=target,
            bounds=[(0.0, arc.capacity / MICRO) for arc in self._arcs],
            method="highs",
        )
        return np.array(found.x) if found.status == 0 else None


def _prompt_s(arc: Arc, tokens: int) -> float:
    """Return the seconds that a prompt takes on an arc; to the exit goes only one token of it."""
    return 0.0 if arc.target == OUTSIDE else tokens * MICRO / arc.capacity


def _incidence(arcs: tuple[Arc, ...], num_stages: int, end: str) -> csr_array:
    places = [(getattr(arc, end), i) for i, arc in enumerate(arcs)]
    inside = [(stage, i) for stage, i in places if stage != OUTSIDE]
    rows, columns = [stage for stage, _ in inside], [i for _, i in inside]
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=(num_stages, len(arcs)))


def _shared_rows(network: Network) -> tuple[Floats, Floats]:
    """Return a row for each NIC and trunk, in its own bytes, so that each may be filled to 1."""
    rows = np.zeros((len(network.shared), len(network.arcs)))
    for position, arc in enumerate(network.arcs):
        for index in arc.shared:
            rows[index, position] += arc.token_bytes / network.shared[index].bytes_per_s
    return rows, np.ones(len(network.shared))
