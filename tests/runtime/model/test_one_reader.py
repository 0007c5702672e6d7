"""Whatever a config.json says: the planner and the runtime take it alike, or refuse it in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from make_tiny_checkpoints import FAMILIES, make_config
from support.parameter_count import parameters
from support.tiny_models import OPTIONS
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from hexplan.errors import InputError
from hexplan.model import Model
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan_runtime.model.architecture import Architecture, read_architecture, read_stop_ids

Value = TypeVar("Value")
HUGE = 10**400
ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.sampled_from([0, -1, 2**31, 2**63, HUGE, -HUGE]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["silu", "gelu", "llama", "mistral", "qwen3", "linear", "yarn", "float16"]),
    st.sampled_from(["sliding_attention", "full_attention"]).flatmap(
        lambda kind: st.lists(st.just(kind), min_size=3, max_size=5)
    ),
    st.lists(st.integers(-1, 5), max_size=3),
)
NESTED = st.recursive(
    ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
ROPE = st.dictionaries(
    st.sampled_from(
        ["rope_type", "type", "rope_theta", "factor", "partial_rotary_factor", "beta_fast"]
        + ["original_max_position_embeddings", "low_freq_factor", "high_freq_factor", "mscale"]
    ),
    st.sampled_from(["linear", "yarn", "llama3", "dynamic", "default", "proportional"]) | ODD,
)
STATED = sorted(
    {name for family in FAMILIES for name in make_config(family).to_dict()}
    | {"rope_scaling", "rope_theta", "torch_dtype", "use_sliding_window", "max_window_layers"}
    | {"layer_types", "sliding_window", "per_layer_config", "is_causal", "quantization_config"}
    | {"text_config", "partial_rotary_factor", "auto_map", "num_experts"}
)
CHANGES = st.dictionaries(
    st.sampled_from(STATED), NESTED | ROPE, min_size=1, max_size=2
) | st.fixed_dictionaries({"rope_parameters": ROPE})


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, Any], Model]]:
    """Return each family's config, and the model that a plan was made for."""
    made = {}
    for name in FAMILIES:
        folder = tmp_path_factory.mktemp("base") / name
        config = make_config(name)
        config.architectures = [f"{type(config).__name__.removesuffix('Config')}ForCausalLM"]
        config.save_pretrained(folder)
        values = json.loads((folder / "config.json").read_text())
        made[name] = values, read_model_folder(folder, "float32")
    return made


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    family=st.sampled_from(sorted(FAMILIES)),
    changes=CHANGES,
    gone=st.sets(st.sampled_from(STATED), max_size=2),
)
def test_any_config_is_read_alike_or_refused_in_words(
    bases: dict[str, tuple[dict[str, Any], Model]],
    tmp_path: Path,
    family: str,
    changes: dict[str, Any],
    gone: set[str],
) -> None:
    values, planned = bases[family]
    odd = {name: value for name, value in (values | changes).items() if name not in gone}
    (tmp_path / "config.json").write_text(json.dumps(odd))
    model = outcome(lambda: read_model_folder(tmp_path, "float32"), tmp_path)
    outcome(lambda: read_stop_ids(tmp_path), tmp_path)
    found = outcome(lambda: read_architecture(tmp_path, planned), tmp_path)
    if found is not None:
        assert model is not None
        assert_agree(found, planned, tmp_path)


def outcome(read: Callable[[], Value], folder: Path) -> Value | None:
    """Return what was read, or None if it was refused as it should be."""
    try:
        return read()
    except InputError as error:
        assert str(folder) in error.message or "experts" in error.message
        assert "\n" not in error.message
        return None


def assert_agree(found: Architecture, model: Model, folder: Path) -> None:
    """Compare what the planner and the runtime took from a config with transformers' model."""
    config = AutoConfig.from_pretrained(folder)
    try:
        with torch.device("meta"):
            theirs = AutoModelForCausalLM.from_config(config)
    except AttributeError:  # of a `text_config` or a `dtype` that says nothing here
        return
    assert parameters(model) == theirs.num_parameters()
    attention = theirs.model.layers[0].self_attn
    assert attention.head_dim == model.head_dim
    assert found.windows == tuple(windows_of(theirs, model.max_context))
    assert found.norm_epsilon == theirs.model.norm.variance_epsilon
    rotary = type(theirs.model.rotary_emb)(config)
    assert torch.equal(torch.tensor(found.rotary_frequencies), rotary.inv_freq)
    assert found.rotary_scale == pytest.approx(rotary.attention_scaling)


def windows_of(theirs: PreTrainedModel, max_context: int) -> list[int | None]:
    """Return each layer's window; one past the longest context hides nothing."""
    config = theirs.config
    if config.model_type == "mistral":
        windows = [config.sliding_window] * config.num_hidden_layers
    else:
        layers = [layer.self_attn for layer in theirs.model.layers]
        windows = [getattr(layer, "sliding_window", None) for layer in layers]
    return [None if window is None or window >= max_context else window for window in windows]


@pytest.mark.parametrize("name", OPTIONS)
def test_the_two_find_no_difference_in_any_family(name: str, tmp_path: Path) -> None:
    family, changes = OPTIONS[name]
    start = make_config(family)
    config = type(start)(**{**start.to_dict(), **changes})
    config.architectures = [f"{type(config).__name__.removesuffix('Config')}ForCausalLM"]
    config.save_pretrained(tmp_path)
    model = read_model_folder(tmp_path)
    assert_agree(read_architecture(tmp_path, model), model, tmp_path)
