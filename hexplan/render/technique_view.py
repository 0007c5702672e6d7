"""Show what simulations said of techniques that were to be used only where they pay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hexplan.render import words
from hexplan.techniques import Chosen


def techniques(chosen: Sequence[Chosen]) -> Iterator[str]:
    """Yield a line for each technique that was tried: what the plan has of it, and why."""
    for one in chosen:
        tried = one.tried if one.tried == "on" else f"`{one.tried}`"
        yield f"  {one.technique}: {one.value}, as {_reason(one, tried)}"


def _reason(one: Chosen, tried: str) -> str:
    if one.gain is None or one.noise is None:
        if one.is_used:
            return "no plan was found that carries the rate without"
        if one.technique == "kv_offload":
            return "no stage gets more out by it, or requests would wait longer than allowed"
        return "no stage gains by it in a step of any size"
    word = "later" if one.gain < 0 else "sooner"
    ends = f"requests end {words.percent(abs(one.gain))} {word} with {tried}"
    than = "more" if one.is_used else "no more"
    differ = f"the {words.percent(one.noise)} of doubt in pairs of runs"
    return f"{ends} in simulation, {than} than {differ}"
