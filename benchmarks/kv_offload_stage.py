"""A stage in this process whose decodes are told which tokens come, in place of drawing them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan.techniques import KvOffload
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.model.architecture import read_architecture
from hexplan_runtime.model.linear import Rank
from hexplan_runtime.model.weights import WeightsReader
from hexplan_runtime.net.team import Team
from hexplan_runtime.net.wire import WireFormat
from hexplan_runtime.request import GREEDY
from hexplan_runtime.runner.kv_offload.host_link import HostLink
from hexplan_runtime.runner.kv_offload.offloaded_layers import OffloadedLayers
from hexplan_runtime.runner.kv_offload.pages import Scores, bounded
from hexplan_runtime.stage.stage import Stage, torch_dtype
from hexplan_solver import SolveOptions, solve

SPEC: Final = """
version: 1
name: one
model: {{path: {folder}, dtype: float32}}
workload: {{prompt_tokens: {{mean: 128, max: 256}}, output_tokens: {{mean: 16, max: 64}}}}
devices:
  core: {{kind: cpu, memory: 1GiB, memory_bandwidth: 10GB/s, compute: 80 GFLOP/s}}
hosts: [{{name: host, site: desk, devices: core, nic: 10GB/s}}]
coordinator: {{site: desk, nic: 10GB/s}}
links: [{{within: desk, bandwidth: 10GB/s, latency: 20us}}]
limits: {{chunk_tokens: 512, time: 2s}}
"""


def plan_of(folder: Path) -> Plan:
    """Return a plan of one stage on one core."""
    text = SPEC.format(folder=folder)
    return solve(parse_spec(text, folder / "one.yaml"), SolveOptions(effort_s=5))


@dataclass(frozen=True, slots=True)
class Way:
    """How a stage fetches from host memory; with no fraction it has nothing there."""

    fraction: Decimal | None = None
    scores: Scores = bounded
    link: HostLink | None = None


class ForcedStage:
    """One stage of several requests of equal length, side by side."""

    def __init__(self, plan: Plan, way: Way) -> None:
        (planned,), folder = plan.stages, Path(str(plan.model.path))
        self.link = way.link or HostLink()
        """What has crossed the link."""
        if way.fraction is not None:
            how = KvOffload(
                from_layer=2,
                fraction=way.fraction,
                link_bytes_per_s=1,
                kv_tokens=planned.kv_tokens,
            )
            planned = planned.model_copy(update={"kv_offload": how})
        dtype = torch_dtype(plan.model)
        with WeightsReader(folder, dtype) as weights:
            team = Team(WireFormat(1, plan.model.hidden, dtype))
            architecture = read_architecture(folder, plan.model)
            rank = Rank(plan.model, architecture, planned.shards[0], team, weights)
            self._stage = Stage(plan, planned, rank)
        runner = self._stage._runner
        if isinstance(runner, OffloadedLayers):
            runner.fetching = replace(runner.fetching, scores=way.scores, link=self.link)
        self._first = 0

    def logits(self, ids_RT: Tensor, prompt: int) -> Tensor:
        """Return the logits after the last token of a prompt and each later one: `[R, t, V]`."""
        steps, position, (rows, end) = [], 0, ids_RT.shape
        for size in (prompt, *[1] * (end - prompt)):
            made = tuple(
                Row(
                    self._first + row,
                    0,
                    position,
                    size,
                    end,
                    GREEDY,
                    samples=True,
                    decodes=position > 0,
                )
                for row in range(rows)
            )
            ids = ids_RT[:, position : position + size].flatten()
            found = self._stage.run(Batch(made, ids)).logits
            assert found is not None
            steps.append(found)
            position += size
        ends = (Row(self._first + row, 0, 0, 0, 0, GREEDY, closes=True) for row in range(rows))
        self._stage.run(Batch(tuple(ends)))
        self._first += rows
        return torch.stack(steps, dim=1)


def at_random(seed: int) -> Scores:
    """Return what chooses pages without looking at them."""
    generator = torch.Generator().manual_seed(seed)

    def scores(_: Tensor, bounds_CGRPE: Tensor) -> Tensor:
        _, heads, rows, pages, _ = bounds_CGRPE.shape
        return torch.rand(rows, heads, pages, generator=generator)

    return scores
