"""SGLang 0.5.23: one `sglang.launch_server` on each machine of a replica."""

from __future__ import annotations

from collections.abc import Sequence

from hexplan.export.command import Command, FromVariable, Place, Variable, Word
from hexplan.export.deployment import Deployment, Server
from hexplan.export.engines.figures import kept_share, kv_dtype, most_requests, step_tokens
from hexplan.export.engines.wording import Wording, nodes, require_kinds
from hexplan.export.names import authority

VISIBLE = {"cuda": "CUDA_VISIBLE_DEVICES", "rocm": "HIP_VISIBLE_DEVICES"}
_KV_DTYPES = {"fp8": "fp8_e4m3", "bfloat16": "bf16"}


def command(deployment: Deployment, server: Server, places: Sequence[Place], index: int) -> Command:
    """Return what one machine of a replica runs.

    Raises
    ------
    CannotExpress
        No files are written for such devices, or SGLang has no such KV cache.
    """
    require_kinds(deployment, server, tuple(VISIBLE))
    place = places[index]
    words: list[Word] = ["python3", "-m", "sglang.launch_server", "--model-path", deployment.model]
    words += ["--served-model-name", deployment.plan.model.name]
    words += ["--dtype", deployment.plan.model.dtype, *kv_dtype(deployment, "SGLang", _KV_DTYPES)]
    words += ["--tp-size", str(server.stages[0].tp), "--pp-size", str(len(server.stages))]
    if len(places) > 1:
        words += ["--nnodes", str(len(places)), "--node-rank", place.node_rank]
        words += ["--dist-init-addr", _meeting_point(server, places[0].reach)]
    words += ["--mem-fraction-static", kept_share(deployment, server)]
    words += ["--context-length", str(deployment.longest_tokens)]
    words += ["--max-running-requests", str(most_requests(deployment))]
    words += ["--chunked-prefill-size", str(step_tokens(deployment))]
    words += ["--host", place.own, "--port", str(server.api_port)]
    return Command(_environment(server, place), tuple(words))


def _meeting_point(server: Server, master: Word) -> Word:
    if isinstance(master, FromVariable):
        return FromVariable(master.name, suffix=f":{server.master_port}")
    return authority(master, server.master_port)


def _environment(server: Server, place: Place) -> tuple[Variable, ...]:
    (kind,) = server.kinds
    found = [
        Variable(VISIBLE[kind], ",".join(map(str, place.devices))),
        Variable("SGLANG_HOST_IP", place.own),
    ]
    if len(server.stages) > 1:
        layers = ",".join(map(str, server.layers))
        found.append(Variable("SGLANG_PP_LAYER_PARTITION", layers))
    return tuple(found)


SGLANG = Wording(nodes, command, image="lmsysorg/sglang:v0.5.23", ready="/health")
