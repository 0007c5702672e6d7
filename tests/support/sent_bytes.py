"""Bytes of a step's collectives: what ranks send, and what the plan's formula says."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import torch
from support.ranks import running_stages

from hexplan.check.lookup import Lookup
from hexplan.check.stage.roofline import ShardOnDevice, tensor_seconds
from hexplan.check.stage.sequence import Spread, sequence_seconds
from hexplan.host import Interconnect
from hexplan.plan import Plan
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.net.team import Team
from hexplan_runtime.request import Sampling


def sent_bytes(plan: Plan, folder: Path, tokens: int) -> list[int]:
    """Return what each rank of the second stage sends to the others in a step."""
    teams: list[Team] = []
    hidden = torch.randn(tokens, plan.model.hidden, generator=torch.Generator().manual_seed(1))
    row = Row(0, 0, 0, tokens, tokens, Sampling())
    with running_stages(plan, folder, teams) as runners:
        before = [team.sent_bytes for team in teams]
        runners[1](Batch((row,), hidden=hidden))
        after = [team.sent_bytes for team in teams]
    sent = {team.rank: b - a for team, a, b in zip(teams, before, after, strict=True) if b > a}
    return [sent[rank] for rank in sorted(sent)]


def formula_bytes(plan: Plan, tokens: int) -> Fraction:
    """Return what a device of the second stage sends by the plan's own formula.

    A link of half the bandwidth takes longer by the time that all bytes take.
    """
    stage, lookup = plan.stages[1], Lookup.of(plan)
    held = [ShardOnDevice(shard, lookup.device_types["slot"]) for shard in stage.shards]
    num_layers = stage.layers[1] - stage.layers[0]

    def seconds(bandwidth: int) -> Fraction:
        wire = Interconnect(bandwidth_bytes_per_s=bandwidth, latency_s=Decimal(0))
        if tokens <= (stage.shift_tokens or 0):
            return tensor_seconds(plan.model, held, wire, tokens)
        spread = Spread(num_layers, stage.sp_degree)
        return sequence_seconds(plan.model, held, wire, tokens, spread)

    return 2 * (seconds(1) - seconds(2)) * num_layers
