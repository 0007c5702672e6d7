"""vLLM 0.33: one `vllm serve` on each machine of a replica, without Ray."""

from __future__ import annotations

from collections.abc import Sequence

from hexplan.export.command import Command, Place, Variable, Word
from hexplan.export.deployment import Deployment, Server
from hexplan.export.engines.figures import budget_share, kv_dtype, most_requests, step_tokens
from hexplan.export.engines.wording import Wording, nodes, require_kinds

KINDS = ("cuda", "rocm", "xpu")
_KV_DTYPES = {"fp8": "fp8", "bfloat16": "bfloat16"}


def command(deployment: Deployment, server: Server, places: Sequence[Place], index: int) -> Command:
    """Return what one machine of a replica runs.

    Raises
    ------
    CannotExpress
        No files are written for such devices, or vLLM has no such KV cache.
    """
    require_kinds(deployment, server, KINDS)
    place = places[index]
    words: list[Word] = ["vllm", "serve", deployment.model]
    words += ["--served-model-name", deployment.plan.model.name]
    words += ["--dtype", deployment.plan.model.dtype, *kv_dtype(deployment, "vLLM", _KV_DTYPES)]
    words += ["--tensor-parallel-size", str(server.stages[0].tp)]
    words += ["--pipeline-parallel-size", str(len(server.stages))]
    words += ["--distributed-executor-backend", "mp"]
    if len(places) > 1:
        words += ["--nnodes", str(len(places)), "--node-rank", place.node_rank]
        words += ["--master-addr", places[0].reach, "--master-port", str(server.master_port)]
    words += ["--device-ids", ",".join(map(str, place.devices))]
    words += ["--gpu-memory-utilization", budget_share(deployment, server)]
    words += ["--max-model-len", str(deployment.longest_tokens)]
    words += ["--max-num-seqs", str(most_requests(deployment))]
    words += ["--max-num-batched-tokens", str(step_tokens(deployment))]
    words += ["--headless"] if index else ["--host", place.own, "--port", str(server.api_port)]
    return Command(_environment(server, place), tuple(words))


def _environment(server: Server, place: Place) -> tuple[Variable, ...]:
    found = [Variable("VLLM_HOST_IP", place.own)]
    if len(server.stages) > 1:
        layers = ",".join(map(str, server.layers))
        found.append(Variable("VLLM_PP_LAYER_PARTITION", layers))
    return tuple(found)


VLLM = Wording(nodes, command, image="vllm/vllm-openai:v0.33.0", ready="/health")
