"""The rows of a measured step, which stand in the cache as those of requests that are served."""

from __future__ import annotations

import random
from typing import Final

from hexplan_runtime.batch import Row
from hexplan_runtime.measure.sample import OVERLAP, Point
from hexplan_runtime.request import GREEDY

_SEED: Final = 0


def rows_of(point: Point, longest: int) -> list[Row]:
    """Return the rows of a step.

    Contexts of decodes spread evenly around their mean, from half to one and a half times it where
    the model allows that, and in no order. The room of each beyond its context differs, too. Rows
    of equal contexts at equal distances would take fewer calls of the attention's kernel.

    Parameters
    ----------
    longest
        The longest context of the model, in tokens.
    """
    if point.phase == "prefill" or point.phase in OVERLAP:
        return [Row(0, 0, 0, point.tokens, point.context, GREEDY)]
    requests, mean = point.tokens, point.context
    widest = min(mean, 2 * (longest - mean))
    apart = widest / (2 * requests)
    contexts = [max(1, mean + round((2 * i + 1 - requests) * apart)) for i in range(requests)]
    rng = random.Random(_SEED)  # noqa: S311
    rng.shuffle(contexts)
    return [
        Row(i, 0, context - 1, 1, context + rng.randrange(mean), GREEDY, decodes=True)
        for i, context in enumerate(contexts)
    ]
