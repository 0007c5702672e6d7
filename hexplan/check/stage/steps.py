"""The seconds of single steps of a stage (docs/simulation.md, "How long a step takes").

`T(k)` is a mean over a workload; what a request waits for, and what no schedule can beat, follow
from single steps.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

from hexplan.check.exact import exact
from hexplan.check.lookup import Lookup
from hexplan.check.stage.correction import correction_of
from hexplan.check.stage.roofline import (
    ShardOnDevice,
    all_reduce,
    head_step_seconds,
    matrix_seconds,
    position_seconds,
)
from hexplan.check.stage.sequence import Spread, sequence_seconds
from hexplan.check.stage.sizes import length
from hexplan.check.stage.speed import speed_source
from hexplan.cluster import Correction, Profile, StepPoint
from hexplan.host import Interconnect
from hexplan.model import Model
from hexplan.plan import Stage

MEASURED = "measured profile"
DATASHEET = "datasheet"
CORRECTED = ", corrected"


@dataclass(frozen=True, slots=True)
class Group:
    """Devices that work as one, by the datasheet: the seconds of one layer of a step."""

    model: Model
    shards: tuple[ShardOnDevice, ...]
    interconnect: Interconnect | None

    def prompt_s(self, tokens: int) -> Fraction:
        """Return the seconds of a step that holds a prompt from its first token on."""
        reach = Fraction(tokens * tokens, 2)
        return self._step_s(tokens, [reach * position for position, _ in self.positions_s()])

    def decode_s(self, batch: int, context_tokens: int | Fraction) -> Fraction:
        """Return the seconds of a step of decodes, each with a context of so many tokens."""
        whole = Fraction(batch * context_tokens)
        return self._step_s(batch, [whole * position for _, position in self.positions_s()])

    def positions_s(self) -> list[tuple[Fraction, Fraction]]:
        """Return the seconds of attention to one position on each device."""
        return [position_seconds(self.model, held) for held in self.shards]

    def head_s(self, rows: int | Fraction, reads: int | Fraction) -> Fraction:
        """Return the seconds of the output head for some rows, if it is read so often."""
        return max(head_step_seconds(self.model, held, rows, reads) for held in self.shards)

    def _step_s(self, tokens: int, attention: list[Fraction]) -> Fraction:
        floors = [exact(held.device_type.efficiency.attention_start_s) for held in self.shards]
        slowest = max(
            matrix_seconds(self.model, held, tokens) + max(floor, seconds)
            for held, floor, seconds in zip(self.shards, floors, attention, strict=True)
        )
        message = tokens * self.model.hidden * self.model.dtype_bytes
        return slowest + 2 * all_reduce(len(self.shards), self.interconnect, message, 1)


@dataclass(frozen=True, slots=True)
class SequenceGroup(Group):
    """Devices that share out the tokens of a step, or of large steps only."""

    spread: Spread
    shift_tokens: int | None
    """Tokens of the largest step that runs tensor parallel; None if no step does."""

    def _step_s(self, tokens: int, attention: list[Fraction]) -> Fraction:
        if self.shift_tokens is not None and tokens <= self.shift_tokens:
            return Group._step_s(self, tokens, attention)
        spread = sequence_seconds(self.model, self.shards, self.interconnect, tokens, self.spread)
        floors = [exact(held.device_type.efficiency.attention_start_s) for held in self.shards]
        return spread + max(map(max, floors, attention))


@dataclass(frozen=True, slots=True)
class Curve:
    """Measured seconds by tokens: linear between points, and in proportion beyond the last."""

    points: tuple[tuple[int, Fraction], ...]

    @classmethod
    def of(cls, points: tuple[StepPoint, ...]) -> Curve:
        """Take the points of a profile; that of no tokens is left out."""
        return cls(tuple((tokens, exact(seconds)) for tokens, seconds in points if tokens))

    @property
    def first(self) -> int:
        """The smallest step that was measured."""
        return self.points[0][0]

    @property
    def lowered(self) -> Curve:
        """The curve of the least seconds of a step of so many tokens or more, as noise may fall."""
        seconds = list(accumulate((s for _, s in reversed(self.points)), min))[::-1]
        return Curve(tuple(zip((tokens for tokens, _ in self.points), seconds, strict=True)))

    def at(self, tokens: int) -> Fraction:
        """Return the seconds of a step."""
        last, last_s = self.points[-1]
        if tokens > last:
            return last_s * tokens / last
        right = bisect_left(self.points, tokens, key=lambda point: point[0])
        low, low_s = self.points[right - 1] if right else (0, Fraction(0))
        high, high_s = self.points[right]
        return low_s + Fraction(tokens - low, high - low) * (high_s - low_s)


@dataclass(frozen=True, slots=True)
class Tables:
    """The measured steps of a group of devices."""

    prefill: Curve
    decode: Curve

    @classmethod
    def of(cls, profile: Profile | None) -> Tables | None:
        """Return the tables of a profile, if it has both."""
        if profile is None:
            return None
        prefill, decode = Curve.of(profile.prefill_layer_s), Curve.of(profile.decode_layer_s)
        return cls(prefill, decode) if prefill.points and decode.points else None

    def prompt_s(self, tokens: int) -> Fraction:
        """Return the seconds of one layer: no less than those of the smallest batch of decodes."""
        return max(self.prefill.at(tokens), self.decode.at(self.decode.first))

    def decode_s(self, batch: int) -> Fraction:
        """Return the seconds of one layer; smaller batches take as long as the smallest."""
        return self.decode.at(max(self.decode.first, batch))


@dataclass(frozen=True, slots=True)
class StageSteps:
    """The seconds of steps of one stage, and what they rest on."""

    origin: str
    group: Group
    """The stage's own devices, by the datasheet."""
    measured: Tables | None
    """Measured steps: of the stage's own kind, or of the kind `known`."""
    known: Group | None
    """The group that was measured in its place, by the datasheet; None if it was itself."""
    context_tokens: int
    """Context of the decodes that were measured."""
    step_s: Fraction
    """What a step takes besides its layers."""
    token_s: Fraction
    """What an output token takes besides the head."""
    num_layers: int
    is_last: bool
    correction: Correction | None
    lanes_from_tokens: int | None = None
    """Tokens of the smallest step whose sums may go on while half of it is computed, if any."""
    seen_share: Fraction = Fraction(1)
    """Share of their contexts that decodes attend to at least, in the mean over the layers."""

    def prompt_s(self, tokens: int) -> Fraction:
        """Return the seconds of one layer for a prompt in one step."""
        if self.measured is None:
            seconds = self.group.prompt_s(tokens) + self.step_s / self.num_layers
        else:
            seconds = self.measured.prompt_s(tokens)
            if self.known is not None:
                seconds *= self.group.prompt_s(tokens) / self.known.prompt_s(tokens)
        return self.factors[0] * seconds + self._added_s

    def least_prompt_s(self, tokens: int) -> Fraction:
        """Return the least seconds of one layer for a prompt in one step, alone or with others.

        Two lanes hide the shorter of computing and summing up, which is half of a step at most, and
        are no faster than one lane in the largest step that they leave alone.
        """
        plain_s, first = self.prompt_s(tokens), self.lanes_from_tokens
        if first is None or tokens < first:
            return plain_s
        return max(plain_s / 2, self.prompt_s(first - 1))

    def decode_s(self, batch: int, context_tokens: int | Fraction) -> Fraction:
        """Return the seconds of one layer for a step of decodes."""
        context_tokens *= self.seen_share
        if self.measured is None:
            own = self.group.decode_s(batch, context_tokens)
            seconds = own + self.step_s / self.num_layers
        else:
            seconds = self.measured.decode_s(batch)
            if self.known is not None:
                own = self.group.decode_s(batch, context_tokens)
                seconds *= own / self.known.decode_s(batch, self.context_tokens)
        return self.factors[1] * seconds + self._added_s

    def head_s(self, rows: int | Fraction, reads: int | Fraction = 1) -> Fraction:
        """Return the seconds of the output head; 0 if the stage is not the last."""
        is_in_tables = self.measured is not None and self.known is None
        if not self.is_last or is_in_tables:
            return Fraction(0)
        seconds = self.group.head_s(rows, reads)
        return self.factors[1] * (seconds + rows * self.token_s)

    @property
    def has_lanes(self) -> bool:
        """Whether large steps run in two lanes."""
        return self.lanes_from_tokens is not None

    @property
    def factors(self) -> tuple[Fraction, Fraction]:
        """What the seconds of prompts and of decodes are multiplied by."""
        if self.correction is None:
            return Fraction(1), Fraction(1)
        return exact(self.correction.prefill), exact(self.correction.decode)

    @property
    def _added_s(self) -> Fraction:
        return exact(self.correction.layer_step_s) if self.correction else Fraction(0)


def steps_of(lookup: Lookup, stage: Stage) -> StageSteps | None:
    """Return the step times of a stage, or None if the plan does not say enough of it."""
    interconnect = lookup.hosts[stage.host].interconnect if lookup.is_placed(stage) else None
    if not lookup.is_measurable(stage) or (stage.tp > 1 and interconnect is None):
        return None
    plan, source, model = lookup.plan, speed_source(lookup, stage), lookup.model_of(stage)
    limits = plan.cluster.limits
    group = Group(model, source.shards, interconnect)
    if stage.parallel != "tp":
        spread = Spread(length(stage.layers), stage.sp_degree)
        group = SequenceGroup(model, source.shards, interconnect, spread, stage.shift_tokens)
    measured = Tables.of(source.profile or source.scaled)
    is_scaled = measured is not None and source.profile is None
    like = plan.model.as_held_by(len(source.like))
    known = Group(like, source.like, interconnect) if is_scaled else None
    is_datasheet = source.profile is None and source.scaled is None
    origin = DATASHEET if measured is None else MEASURED
    if is_scaled and source.scaled is not None:
        origin = scaled_origin(source.scaled)
    correction = correction_of(lookup, stage, source.shards)
    return StageSteps(
        origin=origin + (CORRECTED if correction else ""),
        group=group,
        measured=measured,
        known=known,
        context_tokens=plan.workload.mean_context_tokens,
        step_s=exact(limits.step_overhead_s) if is_datasheet else Fraction(0),
        token_s=exact(limits.token_overhead_s) if is_datasheet else Fraction(0),
        num_layers=length(stage.layers),
        is_last=stage.layers[1] == plan.model.layers,
        correction=correction,
        lanes_from_tokens=stage.interleave.from_tokens if stage.interleave else None,
        seen_share=_seen_share(stage),
    )


def _seen_share(stage: Stage) -> Fraction:
    """Return the share of their contexts that decodes attend to, in the mean over the layers."""
    how = stage.kv_offload
    if how is None:
        return Fraction(1)
    away = Fraction(stage.layers[1] - how.from_layer, length(stage.layers))
    return 1 - away + away * exact(how.fraction)


def scaled_origin(profile: Profile) -> str:
    """Return what a figure states that was scaled from a profile."""
    return f"measured {profile.tp} x {profile.device}, scaled"
