"""Ranks without processes: each stage's team runs in threads of this process, over real groups."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from hexplan.plan import Plan
from hexplan.plan import Stage as PlannedStage
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.model.architecture import Architecture, read_architecture
from hexplan_runtime.model.linear import Rank
from hexplan_runtime.model.weights import WeightsReader
from hexplan_runtime.net.gloo import Rendezvous, host_store, join_store
from hexplan_runtime.net.team import Parts, Team
from hexplan_runtime.net.wire import WireFormat
from hexplan_runtime.request import Sampling
from hexplan_runtime.stage.stage import Output, Stage, torch_dtype

Runner = Callable[[Batch], Output]


@contextmanager
def running_stages(
    plan: Plan, folder: Path, teams: list[Team] | None = None
) -> Iterator[list[Runner]]:
    """Give a function for each stage that runs a batch on its ranks; the leader's output counts.

    Parameters
    ----------
    teams
        Where to put each rank's view of its team.
    """
    architecture = read_architecture(folder, plan.model)
    wire_format = WireFormat(1, plan.model.hidden, torch_dtype(plan.model))
    store, port = host_store()
    nonce = secrets.token_hex(8)
    with ThreadPoolExecutor(max(stage.tp for stage in plan.stages)) as pool:

        def meet(rendezvous: Rendezvous, stage: str, name: str, rank: int, size: int) -> Team:
            return Team(wire_format, rank, rendezvous.meet(f"{stage}/{name}", rank, size))

        def build(planned: PlannedStage, rank: int) -> Stage:
            rendezvous = Rendezvous(join_store(port), nonce)
            group = lanes = parts = None
            if planned.tp > 1:
                group = rendezvous.meet(planned.id, rank, planned.tp)
            if planned.tp > 1 and planned.interleave is not None:
                lanes = rendezvous.meet(f"{planned.id}/lanes", rank, planned.tp)
            if planned.sp_degree is not None:
                known = partial(meet, rendezvous, planned.id)
                parts = Parts.join(rank, planned.tp, planned.sp_degree, known)
            team = Team(wire_format, rank, group, lanes, parts)
            if teams is not None:
                teams.append(team)
            return build_stage(plan, planned, architecture, (folder, team))

        def runner(planned: PlannedStage) -> Runner:
            ranks = range(planned.tp)
            stages = list(pool.map(build, [planned] * planned.tp, ranks))
            return lambda batch: list(pool.map(lambda stage: stage.run(batch), stages))[0]

        yield [runner(planned) for planned in plan.stages]
    del store


def build_stage(
    plan: Plan, planned: PlannedStage, architecture: Architecture, place: tuple[Path, Team]
) -> Stage:
    """Return one rank's part of a stage."""
    folder, team = place
    with WeightsReader(folder, torch_dtype(plan.model)) as weights:
        shard = planned.shards[team.rank]
        return Stage(plan, planned, Rank(plan.model, architecture, shard, team, weights))


def run_route(runners: Sequence[Runner], plan: Plan, batch: Batch) -> Output:
    """Run a batch whose rows share a route through all its stages."""
    stage_ids = [stage.id for stage in plan.stages]
    output = None
    for hop in plan.routes[batch.rows[0].route].hops:
        output = runners[stage_ids.index(hop.stage)](batch)
        batch = Batch(batch.rows, hidden=output.hidden)
    assert output is not None
    return output


def run_in_pieces(
    runners: Sequence[Runner],
    plan: Plan,
    ids: Sequence[int],
    pieces: Sequence[int],
    prompt: int | None = None,
) -> torch.Tensor:
    """Return the logits after the last token of each piece of a text.

    Parameters
    ----------
    prompt
        Tokens after which all others count as drawn; none do if it is None.
    """
    logits, first = [], 0
    for size in pieces:
        decodes = prompt is not None and first >= prompt
        row = Row(0, 0, first, size, len(ids), Sampling(), samples=True, decodes=decodes)
        batch = Batch((row,), torch.tensor(ids[first : first + size]))
        found = run_route(runners, plan, batch).logits
        assert found is not None
        logits.append(found[0])
        first += size
    return torch.stack(logits)
