"""Step limits: how many tokens and decodes a step may hold, so that a pipeline serves most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hexplan.schedule.limits import largest_step_tokens, most_decodes
from hexplan.spec import Spec
from hexplan_solver.served.params import SERVED_PARAMS
from hexplan_solver.served.request import MeanRequest, mean_request
from hexplan_solver.served.served import ServedRate, decodes_a_hop, served_above, served_rate
from hexplan_solver.simulate import PipelineModel, Policy

Limited = tuple[Policy, ServedRate]
"""A policy with step limits, and what a pipeline then serves."""


def with_step_limits(
    spec: Spec, pipeline: PipelineModel, policy: Policy, halvings: int = SERVED_PARAMS.halvings
) -> Limited:
    """Return the policy with the step limits that serve most by the formula, and what it serves.

    A policy that runs prompts whole has no such limits, and stays as it is.

    Parameters
    ----------
    halvings
        How often the tokens of a step may be halved.
    """
    if policy.chunk_tokens is None:
        return policy, served_rate(pipeline, spec.workload, policy)
    found: list[Limited] = []
    least = 0.0
    kept = 1 - max(SERVED_PARAMS.worth, SERVED_PARAMS.worth_strain)
    near = decodes_a_hop(pipeline, spec.workload, policy)
    for limited in _policies(spec, policy, near, halvings):
        # Policies that serve much less than another are never chosen.
        served = served_above(least, pipeline, spec.workload, limited)
        if served is not None:
            found.append((limited, served))
            least = max(least, served.decode_tokens_per_s * kept)
    request = mean_request(spec.workload, policy)
    calm = [pair for pair in found if not _starves(*pair, request)]
    if not calm or _rate(calm) < _rate(found) * (1 - SERVED_PARAMS.worth_strain):
        calm = found
    good = [pair for pair in calm if _rate([pair]) >= _rate(calm) * (1 - SERVED_PARAMS.worth)]
    return max(good, key=lambda pair: (pair[0].chunk_tokens, pair[0].max_decode_tokens))


def _rate(found: Sequence[Limited]) -> float:
    return max(served.decode_tokens_per_s for _, served in found)


def widest(spec: Spec, policy: Policy) -> Policy:
    """Return the policy with the largest steps that there is workspace for."""
    if policy.chunk_tokens is None:
        return policy
    tokens = largest_step_tokens(spec.cluster, spec.workload)
    return replace(policy, chunk_tokens=tokens, max_decode_tokens=most_decodes(tokens))


def neighbours(spec: Spec, policy: Policy) -> Iterator[Policy]:
    """Yield the policy with twice and half the tokens, and with twice and half the decodes.

    Where twice the decodes are more than a step may hold, it gets the most that it may.
    """
    tokens, decodes = policy.chunk_tokens, policy.max_decode_tokens
    if tokens is None:
        return
    most = largest_step_tokens(spec.cluster, spec.workload)
    least = min(most, SERVED_PARAMS.least_tokens)
    for changed in (tokens * 2, tokens // 2):
        if least <= changed <= most and decodes <= most_decodes(changed):
            yield replace(policy, chunk_tokens=changed)
    for changed in (min(decodes * 2, most_decodes(tokens)), decodes // 2):
        if changed not in (0, decodes):
            yield replace(policy, max_decode_tokens=changed)


def smaller_steps(spec: Spec, policy: Policy) -> Iterator[Policy]:
    """Yield the policy with half and a quarter of the tokens, of the decodes, or of both."""
    tokens, decodes = policy.chunk_tokens, policy.max_decode_tokens
    if tokens is None:
        return
    least = min(largest_step_tokens(spec.cluster, spec.workload), SERVED_PARAMS.least_tokens)
    for fewer in (tokens, tokens // 2, tokens // 4):
        if fewer < least:
            return
        most = most_decodes(fewer)
        for some in sorted({min(most, decodes >> i) for i in range(SERVED_PARAMS.halvings + 1)}):
            if some > 0 and (fewer, some) != (tokens, decodes):
                yield replace(policy, chunk_tokens=fewer, max_decode_tokens=some)


def of_fewer_tokens(spec: Spec, policy: Policy) -> Iterator[Policy]:
    """Yield the policy with the most tokens a step that there is workspace for, and with fewer.

    Its decodes stay as they are, as far as such a step may hold them.
    """
    tokens = largest_step_tokens(spec.cluster, spec.workload)
    for halving in range(SERVED_PARAMS.halvings + 1):
        if policy.chunk_tokens is None or (halving and tokens < SERVED_PARAMS.least_tokens):
            return
        decodes = min(policy.max_decode_tokens, most_decodes(tokens))
        yield replace(policy, chunk_tokens=tokens, max_decode_tokens=decodes)
        tokens //= 2


def _starves(policy: Policy, served: ServedRate, request: MeanRequest) -> bool:
    """Say whether prompts have to wait: few steps are without decodes, and those leave no room."""
    decodes, tokens = policy.max_decode_tokens, policy.chunk_tokens or 0
    decode_steps = request.decode_tokens / decodes
    prompt_steps = request.prompt_tokens / max(1, tokens - decodes)
    return (
        served.busy > SERVED_PARAMS.strained
        and prompt_steps > SERVED_PARAMS.strained * decode_steps
    )


def _policies(spec: Spec, policy: Policy, decodes_a_hop: float, halvings: int) -> Iterator[Policy]:
    tokens = largest_step_tokens(spec.cluster, spec.workload)
    for halving in range(halvings + 1):
        if halving and tokens < SERVED_PARAMS.least_tokens:
            return
        most = most_decodes(tokens)
        near = min(max(1.0, decodes_a_hop), most)
        powers = [2**i for i in range(most.bit_length()) if 2**i <= most]
        for decodes in powers:
            if near / SERVED_PARAMS.near <= decodes <= near * SERVED_PARAMS.near:
                yield replace(policy, chunk_tokens=tokens, max_decode_tokens=decodes)
        tokens //= 2
