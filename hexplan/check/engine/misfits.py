"""Engines: a plan made for one keeps to what it runs (`hexplan/engines`)."""

from __future__ import annotations

from collections.abc import Iterator

from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.engines import ENGINES, MisfitKind, misfits

STAGE_SHARED = Rule(
    "HEX215",
    "engine-stage-shared",
    "With an engine of whole replicas, each stage is in exactly one route.",
)
STAGE_ENTERED_INSIDE = Rule(
    "HEX216",
    "engine-stage-entered-inside",
    "With an engine of whole replicas, each hop enters at its stage's first layer.",
)
SHARING_UNKNOWN = Rule(
    "HEX217",
    "engine-sharing",
    "With vLLM, SGLang and llama.cpp, stages of several devices are `tp`.",
)
DEGREES_MIXED = Rule(
    "HEX218",
    "engine-degrees-mixed",
    "With vLLM and SGLang, the stages of a route have equally many devices; with llama.cpp, a route"
    " of several stages has one device in each.",
)
SHARDS_UNEVEN = Rule(
    "HEX219",
    "engine-shards-uneven",
    "With vLLM and SGLang, the devices of a stage have equal shards, and their number divides the"
    " KV heads or is a multiple of them. With llama.cpp, they are at most as many as the KV heads.",
)
RANKS_UNEQUAL = Rule(
    "HEX220",
    "engine-ranks-unequal",
    "With vLLM and SGLang, every machine of a route carries equally many of its ranks.",
)
HOST_AGAIN = Rule(
    "HEX221",
    "engine-host-again",
    "With vLLM and SGLang, the ranks of a route on one machine follow each other.",
)
PLATFORMS_MIXED = Rule(
    "HEX222",
    "engine-platforms-mixed",
    "With vLLM and SGLang, the devices of a route are all of one kind, such as cuda.",
)
STAGE_ON_SEVERAL_MACHINES = Rule(
    "HEX223",
    "engine-stage-on-several-machines",
    "With llama.cpp, the devices of a stage are on one machine.",
)
PAST_MAIN_HOST = Rule(
    "HEX224",
    "engine-past-main-host",
    "With llama.cpp, each hop between hosts begins or ends at the main host of its route, which is"
    " that of the last stage.",
)
FORMAT_UNKNOWN = Rule(
    "HEX225",
    "engine-format",
    "With llama.cpp, quantised weights have a GGUF format, and stages of several devices keep the"
    " KV cache in 16 or 32 bits.",
)

RULE_OF = {
    MisfitKind.SHARED_STAGE: STAGE_SHARED,
    MisfitKind.ENTERED_INSIDE: STAGE_ENTERED_INSIDE,
    MisfitKind.SHARING: SHARING_UNKNOWN,
    MisfitKind.MIXED_DEGREES: DEGREES_MIXED,
    MisfitKind.UNEVEN_SHARDS: SHARDS_UNEVEN,
    MisfitKind.UNEQUAL_RANKS: RANKS_UNEQUAL,
    MisfitKind.HOST_AGAIN: HOST_AGAIN,
    MisfitKind.MIXED_PLATFORMS: PLATFORMS_MIXED,
    MisfitKind.SEVERAL_MACHINES: STAGE_ON_SEVERAL_MACHINES,
    MisfitKind.PAST_MAIN_HOST: PAST_MAIN_HOST,
    MisfitKind.FORMAT: FORMAT_UNKNOWN,
}
"""Which rule each restriction of an engine is."""


def misfit_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield what the engine of `limits.engine` cannot run."""
    engine = ENGINES[lookup.plan.cluster.limits.engine]
    for misfit in misfits(lookup.plan, engine):
        yield RULE_OF[misfit.kind].at(misfit.where, f"{misfit.sentence} ({engine.title})")
