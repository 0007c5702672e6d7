"""The least time that a request takes of a stage, however steps are filled within their limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from hexplan.check.exact import exact
from hexplan.check.stage.roofline import all_reduce, matrix_seconds
from hexplan.check.stage.steps import Curve, SequenceGroup, StageSteps

REPLICATED = Fraction(999, 1000)
"""Share of a tensor-parallel shard's work that a device of a sequence-parallel stage has at least.

A shard repeats the norms of its layer, which are less than a thousandth of its weights.
"""


@dataclass(frozen=True, slots=True)
class Need:
    """What a mean request asks of every layer, and the most that a step may hold."""

    prompt_tokens: int
    decodes: int
    """Output tokens that decodes give."""
    output_tokens: int
    """Output tokens, each of which needs the head once."""
    step_tokens: int
    step_decodes: int
    held_tokens: int = 0
    """Tokens that were prefilled elsewhere, to which the decodes attend."""

    @property
    def tokens(self) -> int:
        """Tokens that pass each layer."""
        return self.prompt_tokens + self.decodes

    @property
    def least_steps(self) -> Fraction:
        """Steps of which the request is the whole work, at least."""
        by_decodes = Fraction(self.decodes, self.step_decodes)
        return max(by_decodes, Fraction(self.tokens, self.step_tokens))

    @property
    def context_tokens(self) -> Fraction:
        """Sum of the contexts of the decodes."""
        before = self.prompt_tokens + self.held_tokens
        return self.decodes * (before + Fraction(self.decodes, 2))


def least_seconds(steps: StageSteps, need: Need, num_layers: int) -> Fraction:
    """Return the least seconds of a stage's time for a mean request that runs so many layers.

    Every layer's kernels take `max(work, read) + xi min(work, read)` in a step, so the sum over
    steps is at least the same of the summed work and of as many reads as there are steps. Measured
    times of prompts and decodes are added in a step, so the least time a token counts.
    """
    reads = Fraction(need.decodes, need.step_decodes)
    return num_layers * least_layer_s(steps, need) + steps.head_s(need.output_tokens, reads)


def least_layer_s(steps: StageSteps, need: Need) -> Fraction:
    """Return the least seconds of one layer for a mean request."""
    layer_s = _by_datasheet(steps, need) if steps.measured is None else _by_tables(steps, need)
    if steps.correction is not None:
        layer_s += need.least_steps * exact(steps.correction.layer_step_s)
    return layer_s


def _by_datasheet(steps: StageSteps, need: Need) -> Fraction:
    group, model = steps.group, steps.group.model
    # Fewer steps touch fewer experts, and full ones touch fewest.
    full = Fraction(need.tokens, need.step_tokens)
    num_steps = full if model.experts else need.least_steps
    squares = Fraction(need.prompt_tokens**2, 2)
    seconds = max(
        matrix_seconds(model, held, need.tokens, num_steps)
        + squares * prompt_s
        + steps.seen_share * need.context_tokens * decode_s
        for held, (prompt_s, decode_s) in zip(group.shards, group.positions_s(), strict=True)
    )
    if isinstance(group, SequenceGroup):
        seconds *= REPLICATED
    else:
        message = need.tokens * model.hidden * model.dtype_bytes
        one_s = all_reduce(len(group.shards), group.interconnect, 0, 1)
        bytes_s = all_reduce(len(group.shards), group.interconnect, message, 0)
        sums_s = 2 * (need.least_steps * one_s + bytes_s)
        seconds = max(seconds, sums_s) if steps.has_lanes else seconds + sums_s
    seconds += need.least_steps * steps.step_s / steps.num_layers
    if steps.correction is None:
        return seconds
    return min(exact(steps.correction.prefill), exact(steps.correction.decode)) * seconds


def _by_tables(steps: StageSteps, need: Need) -> Fraction:
    measured = steps.measured
    assert measured is not None, "only measured steps have tables"
    prefill, decode = measured.prefill, measured.decode

    def prompt_s(tokens: int) -> Fraction:
        if steps.known is None:
            return prefill.at(tokens)
        ratio = steps.group.prompt_s(tokens) / steps.known.prompt_s(tokens)
        return measured.prompt_s(tokens) * ratio

    def decode_s(batch: int) -> Fraction:
        measured_s = measured.decode_s(batch)
        if steps.known is None:
            return measured_s
        context = steps.context_tokens
        own_s = steps.group.decode_s(batch, context * steps.seen_share)
        return measured_s * own_s / steps.known.decode_s(batch, context)

    # Of what was measured, sums may be one half, all of which lanes hide.
    factors = [factor / 2 if steps.has_lanes else factor for factor in steps.factors]
    prompts = need.prompt_tokens * least_each_s(prompt_s, prefill, need.step_tokens)
    decodes = need.decodes * least_each_s(decode_s, decode, need.step_decodes)
    return factors[0] * prompts + factors[1] * decodes


def least_each_s(seconds: Callable[[int], Fraction], curve: Curve, most: int) -> Fraction:
    """Return the least seconds a token, over steps of the measured sizes and of powers of two.

    Between two points a measured step takes `a + b n` seconds, so a token takes least at one of
    them. A scaled step is near that, as its factor changes slowly.
    """
    powers = {1 << bit for bit in range(most.bit_length())}
    sizes = {most} | powers | {tokens for tokens, _ in curve.points}
    return min(seconds(size) / size for size in sizes if size <= most)
