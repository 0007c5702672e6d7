"""HexGen's cost model: the time and memory of one request on a pipeline of tensor-parallel groups.

The formulas are those of the HexGen paper (Jiang et al., "HexGen: Generative Inference of Large
Language Model over Heterogeneous Environment", ICML 2024, arXiv 2311.11514, section 4), in the form
that the optimiser of its repository once had. A layer has 12 H^2 weights, a request is served alone
(batch 1), and an all-reduce costs 2 (D - 1) messages. The repository's code used one number for the
memory bandwidth and the compute rate of all devices; here each device has its own figures.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HexgenRequest:
    """What HexGen's formulas take of a model and a request."""

    hidden: int
    """H."""
    dtype_bytes: int
    """B."""
    prompt_tokens: int
    """s_in."""
    output_tokens: int
    """s_out: decode steps."""


@dataclass(frozen=True, slots=True)
class Speeds:
    """The speeds of one device."""

    memory_bytes_per_s: float
    """m_d."""
    flops_per_s: float
    """c_d."""


@dataclass(frozen=True, slots=True)
class Wire:
    """The connection between two devices."""

    latency_s: float
    """Alpha."""
    bytes_per_s: float
    """Beta."""


def compute_s(request: HexgenRequest, device: Speeds, degree: int) -> float:
    """Return the seconds that a layer computes for one request, on `degree` devices.

    ``(12 H^2 B / m + 24 s H^2 / c) / D``, once with s = s_in and s_out times with s = 1.
    """
    weights_s = 12 * request.hidden**2 * request.dtype_bytes / device.memory_bytes_per_s
    token_s = 24 * request.hidden**2 / device.flops_per_s
    prefill_s = weights_s + request.prompt_tokens * token_s
    return (prefill_s + request.output_tokens * (weights_s + token_s)) / degree


def group_comm_s(request: HexgenRequest, wire: Wire, degree: int) -> float:
    """Return the seconds that a layer's two all-reduces take for one request.

    ``2 (D - 1) (alpha + s H B / (D beta)) * 2``, once with s = s_in and s_out times with s = 1.
    """
    messages = 2 * (degree - 1) * 2
    per_token_s = request.hidden * request.dtype_bytes / (degree * wire.bytes_per_s)
    prefill_s = wire.latency_s + request.prompt_tokens * per_token_s
    return messages * (prefill_s + request.output_tokens * (wire.latency_s + per_token_s))


def hop_s(request: HexgenRequest, wire: Wire) -> float:
    """Return the seconds that a request's activations take to the next machine.

    ``alpha + s H B / beta``, once with s = s_in and s_out times with s = 1.
    """
    per_token_s = request.hidden * request.dtype_bytes / wire.bytes_per_s
    prefill_s = wire.latency_s + request.prompt_tokens * per_token_s
    return prefill_s + request.output_tokens * (wire.latency_s + per_token_s)


def memory_bytes(request: HexgenRequest, layers: int, degree: int) -> float:
    """Return the bytes that each of `degree` devices needs for its layers and one request.

    ``(12 H^2 B / D + 2 s H B) l + 4 s H B`` with s = s_in + s_out. The formula knows no grouped
    heads, and it does not split the KV cache over the devices.
    """
    tokens = request.prompt_tokens + request.output_tokens
    token_bytes = request.hidden * request.dtype_bytes
    weights = 12 * request.hidden**2 * request.dtype_bytes / degree
    return (weights + 2 * tokens * token_bytes) * layers + 4 * tokens * token_bytes
