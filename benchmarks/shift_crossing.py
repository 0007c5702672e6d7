"""Measure where steps of tp and of sp take equally long, over links of several speeds.

    python benchmarks/shift_crossing.py [--rounds 7]

The runtime's own stage of two ranks runs steps of many sizes in both modes, over emulated links
(`emulated_links.py`). The threshold beside is the planner's, for a device as fast as this processor
multiplies by the matrices of the layers.
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import torch
from emulated_links import Clocks, EmulatedTeam
from measured_device import DeviceClock
from measured_links import Times, collective_times, fastest, interconnects, line, slowest
from planner import machine
from random_llamas import write_llama
from transformers import LlamaConfig

from hexplan.cost import StageShape
from hexplan.cost.sequence import find_sharing
from hexplan.cost.stage_shape import DeviceShard
from hexplan.device import DeviceType
from hexplan.host import Interconnect
from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.model.architecture import read_architecture
from hexplan_runtime.model.linear import Rank
from hexplan_runtime.model.weights import WeightsReader
from hexplan_runtime.net.emulated_link import Wire
from hexplan_runtime.net.gloo import Rendezvous, host_store, join_store
from hexplan_runtime.net.wire import WireFormat
from hexplan_runtime.request import GREEDY
from hexplan_runtime.stage.stage import Stage, torch_dtype
from hexplan_solver import SolveOptions, solve

RANKS: Final = 2
LAYERS: Final = 3
CONFIG: Final = LlamaConfig(
    hidden_size=768,
    num_hidden_layers=LAYERS,
    num_attention_heads=12,
    num_key_value_heads=4,
    intermediate_size=2048,
    vocab_size=2048,
    max_position_embeddings=4096,
    bos_token_id=None,
    eos_token_id=None,
    dtype="float32",
)
PROMPT_TOKENS: Final = 16
"""A step is of prompts of at most so many tokens, so that attention takes little."""
SIZES: Final = (2, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
COLLECTIVES: Final = 20
"""Sums and exchanges of each size in a round."""
SPEC: Final = """
version: 1
name: pair
model: {{path: {folder}, dtype: float32}}
workload: {{prompt_tokens: {{mean: 16, max: 512}}, output_tokens: {{mean: 16, max: 64}}}}
devices:
  core: {{kind: cpu, memory: 2GiB, memory_bandwidth: 10GB/s, compute: 50 GFLOP/s}}
hosts:
  - {{name: pair, site: desk, devices: 2 x core, nic: 1GB/s,
     interconnect: {{bandwidth: 100MB/s, latency: 100us}}}}
coordinator: {{site: desk, nic: 1GB/s}}
links:
  - {{within: desk, bandwidth: 1GB/s, latency: 100us}}
pin:
  - same_stage: [pair/0, pair/1]
limits: {{parallel: [shift]}}
"""


WIRES: Final = (
    Wire(50_000_000, Decimal("0.0005")),
    Wire(100_000_000, Decimal("0.0002")),
    Wire(200_000_000, Decimal("0.00005")),
    Wire(1_000_000_000, Decimal("0.00002")),
)


class Pair:
    """Two ranks of one stage, in threads."""

    def __init__(self, plan: Plan, folder: Path, pool: ThreadPoolExecutor) -> None:
        self._plan, self._folder, self._pool = plan, folder, pool
        self._store, self._port = host_store()
        self._nonce = secrets.token_hex(8)
        self._clocks = Clocks(WIRES, RANKS)
        self._request = 0
        self._ranks = list(pool.map(self._build, range(RANKS)))

    def step_s(self, tokens: int) -> list[float]:
        """Return the seconds of a step of prompts, for each wire."""
        sizes = [PROMPT_TOKENS] * (tokens // PROMPT_TOKENS) + [tokens % PROMPT_TOKENS]
        sizes = [size for size in sizes if size]
        first, self._request = self._request, self._request + len(sizes)
        rows = tuple(
            Row(first + index, 0, 0, size, size, GREEDY) for index, size in enumerate(sizes)
        )
        batch = Batch(rows, torch.zeros(tokens, dtype=torch.int64))
        over = Batch(tuple(replace(row, position=0, tokens=0, closes=True) for row in rows))

        def run(rank: tuple[Stage, EmulatedTeam, Rank]) -> list[float]:
            stage, team, _ = rank
            team.begin()
            stage.run(batch)
            seconds = team.end()
            stage.run(over)
            return seconds

        return [max(both) for both in zip(*self._pool.map(run, self._ranks), strict=True)]

    def collectives(self, rounds: int) -> tuple[Times, Times]:
        """Return what sums and exchanges take over each wire, by tokens."""

        def run(rank: tuple[Stage, EmulatedTeam, Rank]) -> tuple[Times, Times]:
            return collective_times(rank[2], rank[1], rounds)

        return slowest(list(self._pool.map(run, self._ranks)))

    def _build(self, rank: int) -> tuple[Stage, EmulatedTeam, Rank]:
        torch.set_num_threads(1)
        plan, (planned,) = self._plan, self._plan.stages
        dtype = torch_dtype(plan.model)
        group = Rendezvous(join_store(self._port), self._nonce).meet("pair", rank, RANKS)
        team = EmulatedTeam(WireFormat(1, plan.model.hidden, dtype), rank, group, self._clocks)
        architecture = read_architecture(self._folder, plan.model)
        with WeightsReader(self._folder, dtype) as weights:
            shard = planned.shards[rank]
            own = Rank(plan.model, architecture, shard, team, weights, peers=planned.shards)
            stage = Stage(plan, planned, replace(own, peers=()))
        return stage, team, own


def always(plan: Plan, shift_tokens: int) -> Plan:
    """Return the plan with another threshold."""
    (stage,) = plan.stages
    changed = stage.model_copy(update={"shift_tokens": shift_tokens})
    return plan.model_copy(update={"stages": (changed,)})


def predicted_tokens(plan: Plan, device: DeviceType, link: Interconnect) -> int | None:
    """Return the threshold that the planner gives a stage of two such devices."""
    (stage,) = plan.stages
    shape = StageShape.of(plan, stage)
    group = tuple(DeviceShard(device, shard.sizes) for shard in shape.group)
    shape = replace(shape, group=group, interconnect=link)
    sharing = find_sharing("shift", plan.model, shape)
    return None if sharing is None else sharing.shift_tokens


def crossing(tensor_s: Sequence[float], sequence_s: Sequence[float]) -> float | None:
    """Return the tokens at which lines through the times of both modes cross; None if they do not.

    Single sizes would say nothing where the modes differ by a few per cent over a wide range.
    """
    (fixed_s, token_s), (other_fixed_s, other_token_s) = (
        line(SIZES, times) for times in (tensor_s, sequence_s)
    )
    if token_s <= other_token_s:
        return None
    return max(0.0, (other_fixed_s - fixed_s) / (token_s - other_token_s))


def most_lost(
    threshold: int | None, tensor_s: Sequence[float], sequence_s: Sequence[float]
) -> float:
    """Return the most that a step loses by a threshold, as a share of its time in the best mode."""
    lost = []
    for tokens, one, other in zip(SIZES, tensor_s, sequence_s, strict=True):
        chosen = one if threshold is None or tokens <= threshold else other
        lost.append(chosen / min(one, other) - 1)
    return max(lost)


def crossing_section(rounds: int = 7) -> str:
    """Measure, and return the two tables in Markdown."""
    torch.set_num_threads(1)
    with TemporaryDirectory() as name, ThreadPoolExecutor(RANKS) as pool:
        folder = Path(name)
        write_llama(CONFIG, folder)
        spec = parse_spec(SPEC.format(folder=folder), folder / "pair.yaml")
        plan = solve(spec, SolveOptions(time_limit_s=5.0))
        clock = DeviceClock(CONFIG, RANKS)
        modes = [Pair(always(plan, tokens), folder, pool) for tokens in (1 << 20, 0)]
        best = [[[float("inf")] * len(WIRES) for _ in SIZES] for _ in modes]
        sums, exchanges = modes[0].collectives(COLLECTIVES)
        for _ in range(rounds):
            clock.play_round()
            both = zip((sums, exchanges), modes[0].collectives(COLLECTIVES), strict=True)
            sums, exchanges = (fastest(*pair) for pair in both)
            for index, tokens in enumerate(SIZES):
                for mode, pair in enumerate(modes):
                    found = pair.step_s(tokens)
                    best[mode][index] = list(map(min, best[mode][index], found))
        links = interconnects(sums, exchanges, plan.model.hidden * 4)
        return _tables(plan, clock.device(), links, best)


def _tables(
    plan: Plan,
    device: DeviceType,
    links: Sequence[Interconnect],
    best: Sequence[Sequence[Sequence[float]]],
) -> str:
    lines = [
        f"One core multiplies at {device.compute_flops_per_s / 1e9:.1f} Gflop/s and reads weights"
        f" at {device.memory_bandwidth_bytes_per_s / 1e9:.1f} GB/s.\n",
        "| emulated link | measured: bandwidth, start of a sum, of an exchange"
        " | threshold by the stated link | by the measured one | measured crossing"
        " | over the stated | over the measured | most that the latter loses |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for number, wire in enumerate(WIRES):
        tensor, sequence = ([row[number] for row in mode] for mode in best)
        link, found = links[number], crossing(tensor, sequence)
        thresholds = [predicted_tokens(plan, device, one) for one in (wire.interconnect, link)]
        ratios = [f"{found / tokens:.2f}" if found and tokens else "" for tokens in thresholds]
        lost = f"{100 * most_lost(thresholds[1], tensor, sequence):.0f} %"
        cells = [
            str(wire),
            _of_link(link),
            *map(str, thresholds),
            "none" if found is None else f"{found:.0f}",
            *ratios,
            lost,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "\nMilliseconds of a step, tp / sp, the fastest of all rounds:\n",
        f"| tokens | {' | '.join(map(str, WIRES))} |",
        "|---" * (len(WIRES) + 1) + "|",
    ]
    for index, tokens in enumerate(SIZES):
        pairs = zip(best[0][index], best[1][index], strict=True)
        cells = [f"{1000 * one:.1f} / {1000 * other:.1f}" for one, other in pairs]
        lines.append(f"| {tokens} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _of_link(link: Interconnect) -> str:
    starts = (link.latency_s, link.exchange_latency_s or 0)
    shown = ", ".join(f"{start * 10**6:.0f} us" for start in starts)
    return f"{link.bandwidth_bytes_per_s / 1e6:,.0f} MB/s, {shown}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    print(f"{machine()}, {date.today()}, `python benchmarks/shift_crossing.py`\n")
    print(crossing_section(arguments.rounds))


if __name__ == "__main__":
    main()
