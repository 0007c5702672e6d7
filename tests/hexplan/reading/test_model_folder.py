from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.model_folders import small, write_folder
from support.parameter_count import count, kv_width, module_of, parameters

from hexplan.catalog.shipped import find_model, known_models
from hexplan.errors import InputError, SpecError
from hexplan.model import Model, WeightFormat
from hexplan.reading.model_folder.folder import MAX_CONFIG_BYTES, read_model_folder

CONFIGS = Path(__file__).parents[2] / "data" / "configs"
QWEN25_PARAMETERS = {"qwen2.5-0.5b": 494_032_768, "qwen2.5-7b": 7_615_616_512}
FAMILIES = ("Llama", "Mistral", "Qwen2", "Qwen3", "Mixtral", "Qwen3Moe")
OTHERS = {
    "Cohere": 0,
    "Cohere2": 0,
    "Gemma": 0,
    "Gemma2": 0,
    "Gemma3": 0,
    "GPTNeoX": 1,
    "Granite": 0,
    "Olmo": -1,
    "Olmo2": 0,
    "Olmo3": 0,
    "Phi3": 0,
    "SmolLM3": 0,
    "Starcoder2": 1,
}
"""Families that run through transformers, and the vectors that their last norm has beyond one."""


def published(name: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((CONFIGS / f"{name}.json").read_text("utf-8"))
    return config


@pytest.mark.parametrize("name", known_models())
def test_a_published_config_gives_the_sizes_of_the_catalog(name: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path, published(name))
    own = {"name": name, "path": None, "config_sha256": None}
    assert read_model_folder(folder).model_copy(update=own) == find_model(name)


@pytest.mark.parametrize("name", QWEN25_PARAMETERS)
def test_qwen2_always_has_biases_on_query_key_and_value(name: str, tmp_path: Path) -> None:
    model = read_model_folder(write_folder(tmp_path, published(name)))
    assert (model.family, model.qkv_bias, model.out_bias) == ("qwen2", True, False)
    assert parameters(model) == QWEN25_PARAMETERS[name]


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.json")))
def test_a_published_config_has_the_parameters_that_transformers_counts(
    name: str, tmp_path: Path
) -> None:
    config = published(name)
    model = read_model_folder(write_folder(tmp_path, config))
    module = module_of(config)
    assert parameters(model) == count(module)
    assert 2 * model.layers * model.kv_heads * model.head_dim == kv_width(module)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("missing", ["num_key_value_heads", "head_dim", "nothing"])
@pytest.mark.parametrize(
    "stated",
    [
        {},
        {"tie_word_embeddings": True},
        {"attention_bias": True},
        {"mlp_bias": True},
        {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True},
    ],
)
def test_a_silent_config_means_what_transformers_takes_it_to_mean(
    family: str, missing: str, stated: dict[str, Any], tmp_path: Path
) -> None:
    config = small(family) | stated
    config.pop(missing, None)
    model = read_model_folder(write_folder(tmp_path, config))
    module = module_of(config)
    assert parameters(model) == count(module)
    assert 2 * model.layers * model.kv_heads * model.head_dim == kv_width(module)


@pytest.mark.parametrize("family", OTHERS)
@pytest.mark.parametrize(
    "stated",
    [
        {},
        {"num_key_value_heads": None},
        {"tie_word_embeddings": False},
        {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True},
        {"attention_bias": False, "use_bias": False, "use_qk_norm": True},
    ],
)
def test_a_silent_config_of_other_families_means_what_transformers_takes_it_to_mean(
    family: str, stated: dict[str, Any], tmp_path: Path
) -> None:
    config = {**small(family), "head_dim": 2, "pad_token_id": None} | stated
    missing = [name for name in ("num_key_value_heads", "tie_word_embeddings") if name in stated]
    if stated and missing and stated[missing[0]] is None:
        del config[missing[0]]
    model = read_model_folder(write_folder(tmp_path, config))
    module = module_of(config)
    beyond = OTHERS[family] * model.hidden
    assert parameters(model) + beyond == count(module)


@pytest.mark.parametrize("family", FAMILIES)
def test_null_kv_heads_are_as_many_as_query_heads(family: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path, small(family) | {"num_key_value_heads": None})
    assert read_model_folder(folder).kv_heads == 32


def test_the_folder_is_named_and_hashed_so_that_a_launch_sees_a_change(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, small("Llama"))
    model = read_model_folder(folder / ".." / "some-model")
    assert model.name == "some-model"
    assert model.path == str(folder.resolve())
    assert model.config_sha256 == hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()


def test_the_hash_is_of_the_bytes_as_they_stand(tmp_path: Path) -> None:
    text = json.dumps(small("Llama"), indent=1).replace("\n", "\r\n") + "\r\n"
    folder = write_folder(tmp_path, "{}")
    (folder / "config.json").write_bytes(text.encode())
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert read_model_folder(folder).config_sha256 == digest


@pytest.mark.parametrize("field", ["dtype", "torch_dtype"])
def test_the_type_of_weights_is_read_under_its_new_and_its_old_name(
    field: str, tmp_path: Path
) -> None:
    config = small("Llama")
    del config["torch_dtype"]
    model = read_model_folder(write_folder(tmp_path, config | {field: "bfloat16"}))
    assert model.dtype == "bfloat16"


def test_the_caller_may_choose_the_type_of_weights(tmp_path: Path) -> None:
    config = small("Llama")
    del config["torch_dtype"]
    assert read_model_folder(write_folder(tmp_path, config), "float32").dtype == "float32"


@pytest.mark.parametrize(
    ("change", "field", "part"),
    [
        ({"architectures": ["GptOssForCausalLM"]}, "architectures", "`Qwen3ForCausalLM`"),
        ({"architectures": ["LlamaForCausalLM"] * 2}, "architectures", "found a list"),
        ({"architectures": []}, "architectures", "found a list"),  # names nothing
        ({"architectures": None}, "architectures", "found nothing"),
        ({"architectures": "LlamaForCausalL"}, "architectures", "found 'LlamaForCausalL'"),
        ({"quantization_config": 4}, "quantization_config", "found 4, needed an object"),
        ({"quantization_config": {"bits": 4}}, "quantization_config.quant_method", "found nothing"),
        (
            {"quantization_config": {"quant_method": "aqlm"}},
            "quantization_config.quant_method",
            "found 'aqlm', needed `fp8`, `gptq`, `awq`",
        ),
        (
            {"quantization_config": {"quant_method": "gptq", "bits": 5}},
            "quantization_config.bits",
            "found 5, needed 2, 3, 4 or 8",
        ),
        (
            {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 0}},
            "quantization_config.group_size",
            "found 0, needed a whole number > 0",
        ),
        (
            {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128]}},
            "quantization_config.weight_block_size",
            "found a list, needed two whole numbers > 0",
        ),
        (
            {"quantization_config": {"quant_method": "compressed-tensors"}},
            "quantization_config.config_groups",
            "found nothing, needed an object",
        ),
        ({"hidden_size": None}, "hidden_size", "found nothing, needed a whole number > 0"),
        ({"hidden_size": 0}, "hidden_size", "found 0"),
        ({"vocab_size": -1}, "vocab_size", "found -1"),
        ({"vocab_size": 32000.0}, "vocab_size", "found 32000.0"),  # a float
        ({"num_hidden_layers": True}, "num_hidden_layers", "found true"),
        ({"num_hidden_layers": "2"}, "num_hidden_layers", "found '2'"),
        ({"intermediate_size": [96, 96]}, "intermediate_size", "found a list"),  # per layer
        ({"num_key_value_heads": 5}, "num_key_value_heads", "divisor of num_attention_heads (32)"),
        ({"num_key_value_heads": 64}, "num_key_value_heads", "found 64"),
        ({"head_dim": None, "hidden_size": 65}, "head_dim", "65 / 32 is not whole"),
        ({"attention_bias": 1}, "attention_bias", "found 1, needed true or false"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings", "found 'no'"),
        ({"torch_dtype": "int8"}, "torch_dtype", "found 'int8'"),
        ({"torch_dtype": None}, "torch_dtype", "needed one of `float32`, `float16` or `bfloat16`"),
        ({"dtype": ["float16"]}, "dtype", "found a list"),
        ({"max_position_embeddings": None}, "max_position_embeddings", "found nothing"),
    ],
)
def test_a_config_that_cannot_be_planned_with_is_refused(
    change: dict[str, Any], field: str, part: str, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path, small("Llama") | change)
    with pytest.raises(SpecError) as caught:
        read_model_folder(folder)
    assert caught.value.where == f"{folder.resolve()}/config.json: {field}"
    assert part in caught.value.problem


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (
            {"quant_method": "fp8", "weight_block_size": [128, 64]},
            WeightFormat(name="fp8", block_rows=128, block_columns=64, scale_bits=32),
        ),
        (
            {"quant_method": "fp8"},  # one scale for the whole matrix
            WeightFormat(name="fp8", block_rows=None, block_columns=None, scale_bits=32),
        ),
        (
            {"quant_method": "gptq", "bits": 4, "group_size": 64},
            WeightFormat(name="int4", block_columns=64, zero_bits=4),
        ),
        (
            {"quant_method": "gptq", "bits": 8, "group_size": -1},  # a whole row
            WeightFormat(name="int8", zero_bits=8),
        ),
        (
            {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True},
            WeightFormat(name="int4", block_columns=128, zero_bits=4),
        ),
        (
            {"quant_method": "bitsandbytes", "load_in_8bit": True},
            WeightFormat(name="int8", scale_bits=32),
        ),
        (
            {"quant_method": "bitsandbytes", "load_in_4bit": True},
            WeightFormat(name="int4", block_columns=64, scale_bits=32),
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "ignore": ["lm_head"],
                "config_groups": {
                    "group_0": {"weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}
                },
            },
            WeightFormat(name="fp8"),
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "ignore": ["lm_head"],
                "config_groups": {
                    "group_0": {
                        "weights": {
                            "num_bits": 4,
                            "type": "int",
                            "strategy": "group",
                            "group_size": 32,
                            "symmetric": False,
                        }
                    }
                },
            },
            WeightFormat(name="int4", block_columns=32, zero_bits=4),
        ),
    ],
)
def test_quantised_weights_are_read_as_their_method_stores_them(
    stated: dict[str, Any], expected: WeightFormat, tmp_path: Path
) -> None:
    config = small("Llama") | {"quantization_config": stated}
    assert read_model_folder(write_folder(tmp_path, config)).weights == expected


@pytest.mark.parametrize(
    ("change", "field", "part"),
    [
        ({"num_experts": 0}, "num_experts", "found 0"),
        ({"num_experts": 4, "num_experts_per_tok": 5}, "num_experts_per_tok", "found 5"),
        ({"decoder_sparse_step": 2}, "decoder_sparse_step", "needed layers alike"),
        ({"mlp_only_layers": [0]}, "mlp_only_layers", "needed layers alike"),
        ({"moe_intermediate_size": 0}, "moe_intermediate_size", "found 0"),
    ],
)
def test_experts_that_cannot_be_planned_with_are_refused(
    change: dict[str, Any], field: str, part: str, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path, small("Qwen3Moe") | change)
    with pytest.raises(SpecError) as caught:
        read_model_folder(folder)
    assert caught.value.where.endswith(f"config.json: {field}")
    assert part in caught.value.problem


@pytest.mark.parametrize(
    "name", ["GptOssForCausalLM", "Qwen3VLForConditionalGeneration", "GPT2LMHeadModel"]
)
def test_another_architecture_is_refused_before_its_type_with_a_way_out(
    name: str, tmp_path: Path
) -> None:
    config = small("Llama") | {"architectures": [name], "torch_dtype": None}
    with pytest.raises(SpecError, match=f"architectures: found '{name}', needed one of") as caught:
        read_model_folder(write_folder(tmp_path, config))
    assert "`hexplan schema model`" in (caught.value.hint or "")


def wrapper(text: dict[str, Any], **outside: object) -> dict[str, Any]:
    """Return a config as of Mistral-Small-3.1: the text model inside, some fields outside."""
    inside = {k: v for k, v in text.items() if k not in ("architectures", "torch_dtype")}
    names = {"architectures": ["Mistral3ForConditionalGeneration"], "torch_dtype": "bfloat16"}
    return {**names, "text_config": inside, "vision_config": {"hidden_size": 1024}, **outside}


def test_the_text_model_of_a_wrapper_is_planned(tmp_path: Path) -> None:
    text = small("Mistral")
    stated = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    config = wrapper(text | {"model_type": "mistral"}, quantization_config=stated)
    model = read_model_folder(write_folder(tmp_path, config))
    alone = text | {"torch_dtype": "bfloat16", "quantization_config": stated}
    own = {"config_sha256": model.config_sha256}
    assert read_model_folder(write_folder(tmp_path, alone)).model_copy(update=own) == model


def test_a_text_model_of_another_kind_is_named(tmp_path: Path) -> None:
    config = wrapper(small("Mistral") | {"model_type": "llama4_text"})
    with pytest.raises(SpecError, match="with a text model of type 'llama4_text', needed one of"):
        read_model_folder(write_folder(tmp_path, config))


def test_a_wrong_size_inside_a_wrapper_is_told_with_its_place(tmp_path: Path) -> None:
    config = wrapper(small("Mistral") | {"model_type": "mistral", "hidden_size": 0})
    with pytest.raises(SpecError, match=r"config\.json: text_config\.hidden_size: found 0"):
        read_model_folder(write_folder(tmp_path, config))


def test_infinity_is_a_number_as_it_is_for_transformers(tmp_path: Path) -> None:
    text = json.dumps(small("Llama") | {"time_step_limit": [0.0, float("inf")]})
    assert "Infinity" in text
    assert read_model_folder(write_folder(tmp_path, text)).layers == 2


def test_a_config_that_lists_every_module_is_read(tmp_path: Path) -> None:
    """MiniMax-M3-NVFP4 has a config.json of more than 1 MiB."""
    modules = [f"model.layers.{i}.mlp.experts.{i}.w1" for i in range(40_000)]
    text = json.dumps(small("Llama") | {"unused": modules})
    assert len(text) > 1 << 20
    assert read_model_folder(write_folder(tmp_path, text)).layers == 2


def test_a_missing_type_comes_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        read_model_folder(write_folder(tmp_path, small("Llama") | {"torch_dtype": None}))
    assert caught.value.hint is not None
    assert "`dtype`" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "",  # empty
        "[]",  # no object
        "null",
        '{"hidden_size": 1, "hidden_size": 2}',  # a name twice
        '{"hidden_size": NaN}',
        "[" * 100_000,  # deep
        " " * (MAX_CONFIG_BYTES + 1),  # large
    ],
)
def test_a_file_that_holds_no_config_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json"):
        read_model_folder(write_folder(tmp_path, text))


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"found no config\.json in it"):
        read_model_folder(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="found no such folder"):
        read_model_folder(tmp_path / "nowhere")


VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
FIELDS = st.sampled_from([*small("Llama"), "attention_bias", "dtype", "quantization_config"])


@given(st.sampled_from(FAMILIES), st.dictionaries(FIELDS, VALUES | st.lists(VALUES), max_size=3))
def test_any_config_gives_a_model_or_an_error_for_its_user(
    tmp_path_factory: pytest.TempPathFactory, family: str, change: dict[str, Any]
) -> None:
    folder = write_folder(tmp_path_factory.mktemp("model"), small(family) | change)
    try:
        model = read_model_folder(folder)
    except InputError as error:
        assert str(folder.resolve()) in error.message
    else:
        assert Model.model_validate(model.model_dump()) == model


def test_reading_a_folder_loads_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, pathlib; import hexplan.catalog.shipped as c;"
        "import hexplan.reading.model_folder.folder as m;"
        "m.read_model_folder(pathlib.Path(sys.argv[1])); c.find_device('L4');"
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    folder = Path(__file__).parents[3] / "models" / "austen-3m"
    command = [sys.executable, "-c", code, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


@pytest.mark.parametrize("family", FAMILIES)
def test_two_names_of_unlike_families_are_refused(family: str, tmp_path: Path) -> None:
    other = "mistral" if family != "Mistral" else "llama"
    folder = write_folder(tmp_path, small(family) | {"model_type": other})
    with pytest.raises(SpecError, match=rf"model_type: found '{other}', needed .* {family}For"):
        read_model_folder(folder)


def test_settings_by_layer_are_refused(tmp_path: Path) -> None:
    by_layer = {"per_layer_config": {"1": {"intermediate_size": 8}}}
    folder = write_folder(tmp_path, small("Llama") | by_layer)
    with pytest.raises(SpecError, match="per_layer_config: found settings by layer"):
        read_model_folder(folder)
