"""The engines that hexplan knows."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hexplan.cluster import EngineName
from hexplan.engines.engine import Engine

GGUF_FORMATS = (
    *("q8_0", "q6_k", "q5_k_m", "q5_k_s", "q4_k_m", "q4_k_s", "q4_0", "iq4_xs"),
    *("q3_k_m", "q2_k"),
)
"""The weight formats of the catalog that are stored as GGUF."""

HEXPLAN = Engine("hexplan", "hexplan", "this one", "docs/concepts.md")
"""Hexplan's own runtime, which runs every plan."""
VLLM = Engine(
    "vllm",
    "vLLM",
    "0.33.0",
    "vllm/config/parallel.py and vllm/distributed/utils.py of the package on PyPI: world size is TP"
    " times PP, divided evenly over --nnodes, TP innermost; `divide` demands equal parts;"
    " VLLM_PP_LAYER_PARTITION sets the layers of each stage",
    whole_replicas=True,
    tensor_only=True,
    one_degree=True,
    even_shards=True,
    equal_ranks=True,
    one_platform=True,
)
"""A replica is one `vllm serve`, over several machines with `--nnodes`."""
SGLANG = Engine(
    "sglang",
    "SGLang",
    "0.5.23",
    "sglang/srt/server_args.py of the package on PyPI: --tp-size, --pp-size and --nnodes as in"
    " vLLM; SGLANG_PP_LAYER_PARTITION sets the layers of each stage",
    whole_replicas=True,
    tensor_only=True,
    one_degree=True,
    even_shards=True,
    equal_ranks=True,
    one_platform=True,
)
"""A replica is one `sglang.launch_server` on each of its machines."""
LLAMACPP = Engine(
    "llamacpp",
    "llama.cpp",
    "RPC protocol 6.0",
    "ggml-org/llama.cpp: tools/rpc/README.md, and pull requests 19378 (--split-mode tensor, within"
    " one machine and without a quantised KV cache), 26610 (the same over RPC, open) and 18626",
    whole_replicas=True,
    tensor_only=True,
    single_devices_in_chains=True,
    star_of_hosts=True,
    stage_on_one_machine=True,
    weight_formats=GGUF_FORMATS,
    plain_kv_in_tensor=True,
    heads_once=True,
)
"""A replica is one `llama-server`, with an rpc-server for each device of other machines."""

ENGINES: Mapping[EngineName, Engine] = MappingProxyType(
    {engine.name: engine for engine in (HEXPLAN, VLLM, SGLANG, LLAMACPP)}
)
"""By what `limits.engine` calls them."""
