"""Times that rise with tokens, from samples that noise has put out of order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hexplan_runtime.measure.sample import Sample

_LEAST_SPREAD: Final = 0.01
"""As a share of a time: repeats in one pass can agree by chance, and would outweigh all others."""


@dataclass(frozen=True, slots=True)
class _Level:
    """Neighbouring points whose times differ by noise alone."""

    points: int
    weighted_s: float
    weight: float
    noise_s: float
    """The widest range of the middle half of a point's times."""

    @classmethod
    def of(cls, sample: Sample) -> _Level:
        noise_s = max(sample.spread, _LEAST_SPREAD) * sample.median_s
        weight = noise_s**-2
        return cls(1, weight * sample.median_s, weight, noise_s)

    @property
    def time_s(self) -> float:
        return self.weighted_s / self.weight

    def is_noise_above(self, longer: _Level) -> bool:
        """Say whether it takes more time than a level of more tokens, and noise explains it."""
        return 0 < self.time_s - longer.time_s <= self.noise_s + longer.noise_s

    def joined(self, longer: _Level) -> _Level:
        return _Level(
            self.points + longer.points,
            self.weighted_s + longer.weighted_s,
            self.weight + longer.weight,
            max(self.noise_s, longer.noise_s),
        )


def rising_times_s(samples: Sequence[Sample]) -> tuple[float, ...]:
    """Return a time for each sample, given by rising tokens: its median, unless noise lifted it.

    More tokens should not take less time. Where medians fall by less than their spreads, they are
    replaced by their mean, in which steady points weigh most (isotonic regression by pooling
    adjacent violators: Barlow et al. 1972, Statistical Inference under Order Restrictions, 1.2).
    A larger fall stays: some kernels are faster with more tokens.
    """
    levels: list[_Level] = []
    for sample in samples:
        level = _Level.of(sample)
        while levels and levels[-1].is_noise_above(level):
            level = levels.pop().joined(level)
        levels.append(level)
    return tuple(level.time_s for level in levels for _ in range(level.points))
