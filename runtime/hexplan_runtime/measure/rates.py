"""From the times of one layer to the rates of stages that hold several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from hexplan.cluster import Limits
from hexplan.cost import ShardSizes
from hexplan.cost.memory import MemoryBudget, MemoryNeed, kv_bytes_per_token
from hexplan.cost.steps import Curve
from hexplan.model import Model
from hexplan_runtime.measure.equal_shard import equal_shard
from hexplan_runtime.measure.grid import LARGEST_BATCH, Lengths
from hexplan_runtime.measure.rising import rising_times_s
from hexplan_runtime.measure.sample import COMPUTED, OVERLAP, Phase, Sample

_ERROR_STEP = Decimal("0.001")
_SLOWDOWN_STEP, _MOST_SLOWDOWN = Decimal("0.01"), Decimal(10)
_LEAST_ERROR, _MOST_ERROR = Decimal("0.01"), Decimal("0.99")


@dataclass(frozen=True, slots=True)
class MeasuredStage:
    """The samples of one tensor-parallel degree, and the rates of stages that follow from them."""

    tp: int
    """Devices in the group."""
    samples: tuple[Sample, ...]
    """All its samples."""
    lengths: Lengths
    """Mean lengths of the requests that are planned for."""

    def column(self, phase: Phase) -> tuple[Sample, ...]:
        """Return the samples that make up a profile's table, by rising tokens.

        Decodes are those at the mean context.
        """
        mean = self.lengths.context
        wanted = (
            sample
            for sample in self.samples
            if sample.point.phase == phase and (phase != "decode" or sample.point.context == mean)
        )
        return tuple(sorted(wanted, key=lambda sample: sample.point.tokens))

    @property
    def error(self) -> Decimal:
        """Return the relative error of the times: the widest spread of any point in its tables.

        It is rounded up to whole thousandths, and at least 0.01, as repeats in one process do not
        show what differs from day to day.
        """
        widest = max(s.spread for phase in COMPUTED for s in self.column(phase))
        rounded = Decimal(widest).quantize(_ERROR_STEP, ROUND_CEILING)
        return min(_MOST_ERROR, max(_LEAST_ERROR, rounded))

    @property
    def slowdown(self) -> Decimal | None:
        """Return how many times as long computing and summing up take while both go on.

        It is 1 where both together take as long as the longer of them, and 2 where they take as
        long as one after the other (docs/formulation.md 4); None if it was not measured.
        """
        middle = {s.point.phase: s.median_s for s in self.samples if s.point.phase in OVERLAP}
        if len(middle) < len(OVERLAP):
            return None
        alone_s, sums_s, both_s = (middle[phase] for phase in OVERLAP)
        shorter_s, longer_s = sorted((alone_s, sums_s))
        found = Decimal(1 + (both_s - longer_s) / shorter_s).quantize(_SLOWDOWN_STEP)
        return min(_MOST_SLOWDOWN, max(Decimal(1), found))

    def host_link_bytes_per_s(self, model: Model) -> float | None:
        """Return what the leader fetches from host memory while the others do; None if unknown."""
        for sample in self.column("fetch"):
            sizes = ShardSizes.of(equal_shard(model, 0, self.tp))
            fetched = sample.point.tokens * kv_bytes_per_token(model, sizes, (0, 1))
            return fetched / sample.median_s
        return None

    def tokens_per_s(self, model: Model, memory_bytes: int | None) -> tuple[float, ...]:
        """Return the rates with 1, 2, ... layers, up to all of the model's.

        `(p + o) / (k (t_p + o / B_k t_d))` for k layers, p prompt and o output tokens, where t_p is
        the layer's time for the prompt and t_d that for decoding a batch of B_k requests at the
        mean context: the composition of the roofline in docs/formulation.md 4, with measured
        times, and without the output head, which only the last stage has.

        Parameters
        ----------
        memory_bytes
            Memory of one device, which limits the batch; the largest measured batch if None.
        """
        prompt, output = self.lengths.prompt, self.lengths.output
        prefill, decode = _curve(self.column("prefill")), _curve(self.column("decode"))
        rates = []
        for num_layers in range(1, model.layers + 1):
            batch = self._batch(model, num_layers, memory_bytes)
            layer_s = prefill.at(prompt) + output / batch * decode.at(batch)
            rates.append((prompt + output) / (num_layers * layer_s))
        return tuple(rates)

    def _batch(self, model: Model, num_layers: int, memory_bytes: int | None) -> int:
        """Return how many requests a stage decodes at once (docs/formulation.md 4)."""
        if memory_bytes is None:
            return LARGEST_BATCH
        prompt, output = self.lengths.prompt, self.lengths.output
        limits = Limits()
        budget = int(memory_bytes * limits.memory_fraction)
        tokens = min(limits.chunk_tokens, prompt)
        shards = [equal_shard(model, rank, self.tp) for rank in range(self.tp)]
        held = model.as_held_by(self.tp)
        needs = [
            MemoryNeed.of(MemoryBudget(budget), held, tokens, ShardSizes.of(shard), (0, num_layers))
            for shard in shards
        ]
        room = min(need.kv_tokens for need in needs)
        share = room * num_layers // ((prompt + output) * model.layers)
        return min(LARGEST_BATCH, max(1, share))


def _curve(samples: Sequence[Sample]) -> Curve:
    return Curve(tuple(sample.point.tokens for sample in samples), rising_times_s(samples))
