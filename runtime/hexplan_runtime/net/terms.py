"""Terms: what stays the same as long as a request runs, and goes with its first row only."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Final

from hexplan_runtime.batch import NOTHING, Prefix, Row
from hexplan_runtime.request import EndRule, Sampling

TERMS: Final = struct.Struct("<qqqddq")
"""Route, `top_k`, seed, temperature, `top_p` and the most tokens."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What stays the same as long as a request runs."""

    route: int
    sampling: Sampling
    end_rule: EndRule
    prefix: Prefix = NOTHING

    def packed(self) -> bytes:
        """Return them as they are sent, but for what few requests ask."""
        sampling = self.sampling
        whole = self.route, sampling.top_k, sampling.seed
        most_tokens = self.end_rule.most_tokens
        return TERMS.pack(*whole, sampling.temperature, sampling.top_p, most_tokens)

    @classmethod
    def unpacked(cls, data: memoryview, start: int, *, keeps: bool) -> Terms:
        """Read them."""
        route, top_k, seed, temperature, top_p, most = TERMS.unpack_from(data, start)
        return cls(route, Sampling(temperature, top_k, top_p, seed), EndRule(most, keeps=keeps))

    def over(self, row: Row) -> Row:
        """Return a row with these terms."""
        return replace(row, sampling=self.sampling, end_rule=self.end_rule, prefix=self.prefix)
