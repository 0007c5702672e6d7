"""Weights and KV cache against what transformers allocates, on the meta device, to the byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.parameter_count import module_of

from hexplan.cost import ShardSizes
from hexplan.cost.memory import kv_bytes_per_token
from hexplan.cost.weights import weights_bytes
from hexplan.model import Model
from hexplan.reading.model_folder.folder import read_model_folder

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

CONFIGS = Path(__file__).parents[2] / "data" / "configs"
UNQUANTISED = sorted(
    path.stem for path in CONFIGS.glob("*.json") if "quantization_config" not in path.read_text()
)
CONTEXT = 96


def read(name: str, folder: Path) -> tuple[Model, dict[str, Any]]:
    text = (CONFIGS / f"{name}.json").read_text("utf-8")
    (folder / "config.json").write_text(text, "utf-8")
    return read_model_folder(folder), json.loads(text)


def whole(model: Model) -> ShardSizes:
    return ShardSizes(model.kv_heads, model.ffn, model.vocab)


def allocated(tensors: Any) -> int:
    """Sum the bytes of tensors, shared ones counted once."""
    return sum({id(x): x.numel() * x.element_size() for x in tensors}.values())


def test_there_are_a_dozen_configs_of_dense_models_and_mixtures() -> None:
    assert len(UNQUANTISED) >= 12
    assert {"mixtral-8x7b", "mixtral-8x22b", "qwen3-30b-a3b", "qwen3-235b-a22b"} < set(UNQUANTISED)


@pytest.mark.parametrize("name", UNQUANTISED)
def test_weights_take_the_bytes_that_transformers_allocates(name: str, tmp_path: Path) -> None:
    model, config = read(name, tmp_path)
    module = module_of(config).to(getattr(torch, model.dtype))
    assert weights_bytes(model, whole(model), (0, model.layers)) == allocated(module.parameters())


@pytest.mark.parametrize("name", ["qwen2.5-0.5b", "llama-3-8b", "qwen3-4b", "qwen3-30b-a3b"])
def test_each_stage_takes_the_bytes_of_its_layers_and_ends(name: str, tmp_path: Path) -> None:
    model, config = read(name, tmp_path)
    module: Any = module_of(config).to(getattr(torch, model.dtype))
    body, cut = module.model, model.layers // 3
    parts = {
        (0, cut): [body.embed_tokens, *body.layers[:cut]],
        (cut, 2 * cut): body.layers[cut : 2 * cut],
        (2 * cut, model.layers): [*body.layers[2 * cut :], body.norm, module.lm_head],
    }
    for layers, modules in parts.items():
        held = allocated(tensor for part in modules for tensor in part.parameters())
        assert weights_bytes(model, whole(model), layers) == held


@pytest.mark.parametrize("name", UNQUANTISED)
def test_the_kv_cache_takes_the_bytes_that_transformers_allocates(
    name: str, tmp_path: Path
) -> None:
    model, config = read(name, tmp_path)
    kind = getattr(transformers, config["architectures"][0].replace("ForCausalLM", "Config"))
    cache = transformers.StaticCache(config=kind.from_dict(config), max_cache_len=CONTEXT)
    dtype = getattr(torch, model.dtype)
    cache.early_initialization(1, model.kv_heads, model.head_dim, dtype, torch.device("meta"))
    tensors = [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
    assert CONTEXT * kv_bytes_per_token(model, whole(model), (0, model.layers)) == allocated(
        tensors
    )


@pytest.mark.parametrize("base", ["qwen3-8b", "qwen2.5-7b", "qwen3-30b-a3b", "llama-2-70b"])
def test_fp8_weights_take_the_bytes_that_transformers_allocates(base: str, tmp_path: Path) -> None:
    from transformers.integrations.finegrained_fp8 import replace_with_fp8_linear

    (tmp_path / "plain").mkdir()
    _, config = read(base, tmp_path / "plain")
    stated = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    (tmp_path / "config.json").write_text(json.dumps(config | {"quantization_config": stated}))
    model = read_model_folder(tmp_path)
    module: Any = module_of(config).to(getattr(torch, model.dtype))
    form = transformers.FineGrainedFP8Config(weight_block_size=(128, 128))
    module = replace_with_fp8_linear(module, ["lm_head"], form)
    for name, tensor in module.named_parameters():
        if name.endswith("bias"):  # new modules have biases of 32 bits
            tensor.data = tensor.data.to(getattr(torch, model.dtype))
    assert weights_bytes(model, whole(model), (0, model.layers)) == allocated(module.parameters())
