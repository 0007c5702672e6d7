"""Configs of quantised models without their weights: what is planned for them."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.model_folders import small, write_folder

from hexplan.catalog.shipped import find_model
from hexplan.cost.memory import kv_bytes_per_token
from hexplan.cost.weights import ShardSizes, weights_bytes
from hexplan.errors import SpecError
from hexplan.model import Model, WeightFormat
from hexplan.reading.model_folder.folder import read_model_folder

CONFIGS = Path(__file__).parents[3] / "data" / "configs"
FP8_INPUTS = {"num_bits": 8, "type": "float"}


def published(name: str, quantisation: dict[str, Any] | None = None) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((CONFIGS / f"{name}.json").read_text("utf-8"))
    return config | ({"quantization_config": quantisation} if quantisation else {})


def whole(model: Model) -> ShardSizes:
    return ShardSizes(model.kv_heads, model.ffn, model.vocab)


def gigabytes(model: Model) -> float:
    return weights_bytes(model, whole(model), (0, model.layers)) / 1e9


def compressed(weights: dict[str, Any], **fields: object) -> dict[str, Any]:
    group = {"weights": weights, "targets": ["Linear"]}
    ignored = {"ignore": ["lm_head"]}
    method = {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}}
    return {**method, **ignored, **fields}


def attention_of(layers: int) -> list[str]:
    return [f"model.layers.{i}.self_attn.{x}_proj" for i in range(layers) for x in "qkvo"]


def test_a_quantisation_may_stand_in_a_file_of_modelopt(tmp_path: Path) -> None:
    """nvidia/Llama-3.1-70B-Instruct-FP8: 72.7 GB, 163,840 bytes of KV cache a token."""
    folder = write_folder(tmp_path, published("llama-3.1-70b"))
    stated = {
        "producer": {"name": "modelopt", "version": "0.15.1"},
        "quantization": {
            "quant_algo": "FP8",
            "kv_cache_quant_algo": "FP8",
            "exclude_modules": ["lm_head"],
        },
    }
    (folder / "hf_quant_config.json").write_text(json.dumps(stated))
    model = read_model_folder(folder)
    assert gigabytes(model) == pytest.approx(72.7, abs=0.05)
    assert kv_bytes_per_token(model, whole(model), (0, model.layers)) == 163_840


def test_floats_of_four_bits_take_four_bits(tmp_path: Path) -> None:
    """MXFP4 by compressed-tensors: 38.5 GB for 70 B, with a 16-bit embedding and head of 2.1 GB."""
    weights = {"type": "float", "num_bits": 4, "strategy": "group", "group_size": 32}
    folder = write_folder(tmp_path, published("llama-3.1-70b", compressed(weights)))
    model = read_model_folder(folder)
    assert model.weights == WeightFormat(name="fp4", block_columns=32, scale_bits=8)
    assert gigabytes(model) == pytest.approx((70.55 - 2.1) * 4.25 / 8 + 4.2, abs=0.1)


def skipping(modules: list[str]) -> list[dict[str, Any]]:
    """Return configs of 8-bit methods that leave some modules in 16 bits."""
    fp8 = {"type": "float", "num_bits": 8, "strategy": "channel"}
    ends = [f"re:.*\\.{name}$" for name in ("q_proj", "k_proj", "v_proj", "o_proj")]
    return [
        compressed(fp8, ignore=["lm_head", *modules]),
        compressed(fp8, ignore=["lm_head", *ends]),
        {"quant_method": "fp8", "modules_to_not_convert": ["lm_head", *modules]},
        {"quant_method": "fp8", "ignored_layers": modules},
        {"quant_method": "fbgemm_fp8", "modules_to_not_convert": modules},
        {"quant_method": "bitsandbytes", "load_in_8bit": True, "llm_int8_skip_modules": modules},
        {"quant_method": "gptq", "bits": 8, "group_size": -1, "dynamic": {"-:.*self_attn.*": {}}},
        {
            "quant_method": "gptq",
            "bits": 8,
            "group_size": -1,
            "modules_in_block_to_quantize": [["mlp.up_proj", "mlp.gate_proj"], ["mlp.down_proj"]],
        },
        {"quant_method": "awq", "bits": 8, "group_size": -1, "modules_to_not_convert": modules},
        {"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["lm_head", "*self_attn*"]},
        {
            "quant_method": "modelopt",
            "quant_algo": "MIXED_PRECISION",
            "quantized_layers": {
                f"model.layers.{i}.mlp.{n}_proj": {"quant_algo": "FP8"}
                for i in range(32)
                for n in ("gate", "up", "down")
            },
        },
    ]


@pytest.mark.parametrize("index", range(11))
def test_modules_that_are_not_quantised_keep_their_type(index: int, tmp_path: Path) -> None:
    """Llama-3.1-8B in 8 bits takes 9.08 GB, and 10.42 GB if its attention keeps 16 bits."""
    quantisation = skipping(attention_of(32))[index]
    folder = write_folder(tmp_path, published("llama-3.1-8b", quantisation))
    assert gigabytes(read_model_folder(folder)) == pytest.approx(10.42, abs=0.02)


def test_a_mixture_names_all_experts_by_the_module_around_them(tmp_path: Path) -> None:
    """As in nvidia/Qwen3.6-35B-A3B-NVFP4: experts in NVFP4, attention in fp8, the rest plain."""
    layers = {}
    for layer in range(2):
        path = f"model.language_model.layers.{layer}"
        layers[f"{path}.mlp.experts"] = {"quant_algo": "W4A16_NVFP4", "group_size": 16}
        layers[f"{path}.self_attn.q_proj"] = {"quant_algo": "fp8"}
        layers[f"{path}.self_attn.o_proj"] = {"quant_algo": "UNQUANTIZED"}
    stated = {
        "quant_method": "modelopt",
        "quant_algo": "MIXED_PRECISION",
        "quantized_layers": layers,
        "kv_cache_scheme": {"type": "float"},
    }
    config = small("Qwen3Moe") | {"quantization_config": stated}
    model = read_model_folder(write_folder(tmp_path, config))
    form = model.weights
    assert form is not None
    assert form.average_bits is not None
    assert (form.name, form.operands, model.kv_dtype) == ("fp4", None, "fp8")
    assert form.average_bits.network == Decimal("4.5")
    # q and o have 32 heads each, k and v 4: (8 + 16) x 32 + 2 x 16 x 4 over 72
    assert float(form.average_bits.attention) == pytest.approx(896 / 72, abs=0.01)


def test_a_list_of_many_thousand_modules_is_read(tmp_path: Path) -> None:
    modules = [f"model.layers.{i}.mlp.experts.{j}.w1" for i in range(200) for j in range(200)]
    lists: list[dict[str, Any]] = [
        {"quant_method": "fp8", "modules_to_not_convert": modules},
        {"quant_method": "modelopt", "quant_algo": "FP8", "ignore": [*modules, "lm_head"]},
        compressed({"num_bits": 8}, ignore=[*modules, "lm_head"]),
    ]
    for stated in lists:
        config = small("Llama") | {"num_hidden_layers": 200, "quantization_config": stated}
        form = read_model_folder(write_folder(tmp_path, config)).weights
        assert form is not None
        assert form.average_bits is None


@pytest.mark.parametrize("method", ["fp8", "fbgemm_fp8"])
def test_a_method_without_such_modules_quantises_all_layers(method: str, tmp_path: Path) -> None:
    stated = {"quant_method": method}
    folder = write_folder(tmp_path, published("llama-3.1-8b", stated))
    assert gigabytes(read_model_folder(folder)) == pytest.approx(9.08, abs=0.01)


@pytest.mark.parametrize(
    "stated",
    [
        compressed({"type": "float", "num_bits": 8, "strategy": "channel"}, ignore=[]),
        {"quant_method": "gptq", "bits": 8, "group_size": -1, "lm_head": True},
        {"quant_method": "modelopt", "quant_algo": "FP8"},
    ],
)
def test_a_head_that_is_no_exception_is_quantised(stated: dict[str, Any], tmp_path: Path) -> None:
    folder = write_folder(tmp_path, published("llama-3.1-8b", stated))
    saved = 128_256 * 4096 / 1e9
    assert gigabytes(read_model_folder(folder)) == pytest.approx(9.08 - saved, abs=0.01)


def test_each_group_of_modules_has_its_own_format(tmp_path: Path) -> None:
    groups = {
        "group_0": {
            "targets": [r"re:.*self_attn.*"],
            "weights": {"type": "float", "num_bits": 8, "strategy": "channel"},
            "input_activations": FP8_INPUTS,
        },
        "group_1": {
            "targets": ["Linear"],
            "weights": {"type": "float", "num_bits": 4, "strategy": "tensor_group"},
            "input_activations": {"num_bits": 4, "type": "float"},
        },
    }
    stated = {"quant_method": "compressed-tensors", "config_groups": groups, "ignore": ["lm_head"]}
    model = read_model_folder(write_folder(tmp_path, published("llama-3.1-8b", stated)))
    form = model.weights
    assert form is not None
    assert form.average_bits is not None
    assert (form.name, form.operands) == ("fp4", "fp4")  # of most weights
    assert float(form.average_bits.attention) == pytest.approx(8.004, abs=0.001)
    assert float(form.average_bits.network) == 4.5
    assert float(form.average_bits.head) == 16


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [({"num_bits": 8, "type": "float"}, "fp8"), ({"num_bits": 8, "type": "int"}, "int8")],
)
def test_a_kv_cache_scheme_decides_the_type_of_the_cache(
    scheme: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    weights = {"type": "float", "num_bits": 8, "strategy": "channel"}
    stated = compressed(weights, kv_cache_scheme=scheme)
    folder = write_folder(tmp_path, small("Llama") | {"quantization_config": stated})
    assert read_model_folder(folder).kv_dtype == expected


FORMS = [
    (
        {"quant_method": "gptq", "bits": 3, "group_size": 128},
        WeightFormat(name="int3", block_columns=128, zero_bits=3),
    ),
    (
        {"quant_method": "awq", "w_bit": 4, "q_group_size": 64},  # the old names
        WeightFormat(name="int4", block_columns=64, zero_bits=4),
    ),
    ({"quant_method": "fbgemm_fp8"}, WeightFormat(name="fp8", scale_bits=32)),
    (
        {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4}}},
        WeightFormat(name="int4", block_columns=64, zero_bits=16),
    ),
    (
        {"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16},
        WeightFormat(name="fp4", block_columns=16, scale_bits=8, operands="fp4"),
    ),
    (
        {"quant_method": "modelopt", "quant_algo": "W4A16_AWQ", "group_size": 64},
        WeightFormat(name="int4", block_columns=64),
    ),
    (
        compressed({"type": "float", "num_bits": 4, "strategy": "tensor_group", "group_size": 16}),
        WeightFormat(name="fp4", block_columns=16, scale_bits=8),
    ),
]


@pytest.mark.parametrize(("stated", "form"), FORMS, ids=[str(stated) for stated, _ in FORMS])
def test_a_method_stores_what_its_authors_say(
    stated: dict[str, Any], form: WeightFormat, tmp_path: Path
) -> None:
    stated = {"ignore": ["lm_head"]} | stated
    config = small("Llama") | {"quantization_config": stated}
    assert read_model_folder(write_folder(tmp_path, config)).weights == form


def test_mxfp4_of_transformers_is_for_experts_alone(tmp_path: Path) -> None:
    config = small("Qwen3Moe") | {"quantization_config": {"quant_method": "mxfp4"}}
    form = read_model_folder(write_folder(tmp_path, config)).weights
    assert form is not None
    assert form.average_bits is not None
    assert form.average_bits.network == Decimal("4.25")
    assert form.average_bits.attention == 16


@pytest.mark.parametrize(
    ("stated", "field", "part"),
    [
        ({"quant_method": "torchao"}, "quant_method", "found 'torchao', needed `fp8`"),
        ({"quant_method": "gptq", "bits": 5}, "bits", "found 5, needed 2, 3, 4 or 8"),
        ({"quant_method": "gptq", "bits": "4"}, "bits", "found '4', needed"),
        (
            {"quant_method": "gptq", "dynamic": {"+:.*mlp.*": {"bits": 8}}},
            "dynamic",
            "needed the same for all",
        ),
        (
            {"quant_method": "modelopt", "quant_algo": "W2"},
            "quant_algo",
            "found 'W2', needed `FP8`",
        ),
        (
            {"quant_method": "fp8", "modules_to_not_convert": "lm_head"},
            "modules_to_not_convert",
            "needed a list of names of modules",
        ),
        (
            {"quant_method": "fp8", "modules_to_not_convert": ["(a+)+"]},
            "modules_to_not_convert",
            "too complex",
        ),
        (
            compressed({"num_bits": 8}, kv_cache_scheme={"num_bits": 4}),
            "kv_cache_scheme.num_bits",
            "found 4 bits",
        ),
        (
            compressed({"num_bits": 6, "type": "float"}),
            "config_groups.group_0.weights.num_bits",
            "found 6, needed 4 or 8",
        ),
        (
            {"quant_method": "compressed-tensors", "config_groups": {}},
            "config_groups",
            "found no groups",
        ),
    ],
)
def test_a_quantisation_that_is_not_known_is_refused_with_a_way_out(
    stated: dict[str, Any], field: str, part: str, tmp_path: Path
) -> None:
    config = small("Llama") | {"quantization_config": stated}
    with pytest.raises(SpecError) as caught:
        read_model_folder(write_folder(tmp_path, config))
    assert caught.value.where.endswith(f"config.json: quantization_config.{field}")
    assert part in caught.value.problem


def test_modelopts_file_is_refused_where_it_is_wrong(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, small("Llama"))
    file = folder / "hf_quant_config.json"
    file.write_text('{"quantization": {"quant_algo": "W2"}}')
    with pytest.raises(SpecError, match=r"hf_quant_config\.json: quantization\.quant_algo: found"):
        read_model_folder(folder)
    file.write_text("secret")
    with pytest.raises(SpecError, match="not a quantisation by ModelOpt: needed JSON") as caught:
        read_model_folder(folder)
    assert "secret" not in str(caught.value)


def test_a_catalog_model_in_awq_is_its_folder_in_awq(tmp_path: Path) -> None:
    stated = {"quant_method": "awq", "bits": 4, "group_size": 128}
    folder = write_folder(tmp_path, published("llama-3.1-8b", stated))
    listed = find_model("llama-3.1-8b")
    assert listed is not None
    form = WeightFormat(name="int4", block_columns=128, zero_bits=4)
    in_awq = listed.model_copy(update={"weights": form})
    assert gigabytes(read_model_folder(folder)) == gigabytes(in_awq)
