"""Limits of a step: how many tokens and decodes a stage puts through its layers at once."""

from __future__ import annotations

from hexplan.cluster import Cluster
from hexplan.constants import MAX_BATCH, PROMPT_SHARE
from hexplan.plan import Plan
from hexplan.step_limits import StepLimits
from hexplan.workload import Workload

_KEPT, _OF = PROMPT_SHARE.as_integer_ratio()
"""Whole numbers, as every step of the simulator and the runtime uses them."""


def largest_step_tokens(cluster: Cluster, workload: Workload) -> int:
    """Return the tokens of the largest step, for which devices keep workspace.

    That is a chunk of the longest prompt, or a full batch of decodes where it is longer.
    """
    return min(cluster.limits.chunk_tokens, max(workload.prompt_tokens.max, MAX_BATCH))


def least_prompt_tokens(tokens: int) -> int:
    """Return the tokens that a step of this size keeps for prompts, however many decodes wait."""
    return max(1, tokens * _KEPT // _OF)


def most_decodes(tokens: int) -> int:
    """Return the most decodes of a step of this size that leave prompts their part."""
    return max(1, min(MAX_BATCH, tokens * (_OF - _KEPT) // _OF))


def step_limits_of(plan: Plan) -> StepLimits:
    """Return the limits of the plan's steps.

    A plan without step limits gets the largest steps that workspace is kept for. No step decodes
    more than `MAX_BATCH` requests, as there is room for the logits of no more.
    """
    limits = plan.step_limits
    tokens = limits.tokens if limits else largest_step_tokens(plan.cluster, plan.workload)
    decodes = limits.decodes if limits else most_decodes(tokens)
    return StepLimits(tokens=tokens, decodes=min(decodes, MAX_BATCH))
