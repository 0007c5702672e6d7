from __future__ import annotations

import pytest
import torch
from support.runtime_plans import make_plan, sharing

from hexplan.errors import InputError
from hexplan.model import Model, WeightFormat
from hexplan_runtime.launch.supported import require_supported
from hexplan_runtime.runner.device import device_of, has_half_arithmetic


def test_float16_is_refused_where_a_processor_has_no_arithmetic_for_it(llama_model: Model) -> None:
    half = llama_model.model_copy(update={"dtype": "float16"})
    plan = make_plan(half, [((0, 4), (1,))])
    if has_half_arithmetic():
        require_supported(plan)
    else:
        with pytest.raises(InputError, match="float16 on CPU slots") as caught:
            require_supported(plan)
        assert "dtype: bfloat16" in str(caught.value.hint)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_other_types_run_on_a_processor(llama_model: Model, dtype: str) -> None:
    require_supported(make_plan(llama_model.model_copy(update={"dtype": dtype}), [((0, 4), (1,))]))


def test_stages_for_cpu_slots_stay_on_the_processor(llama_model: Model) -> None:
    plan = make_plan(llama_model, [((0, 4), (1,))])
    assert device_of(plan, plan.stages[0], 0) == torch.device("cpu")


@pytest.mark.parametrize(("shift_tokens", "parallel"), [(None, "sp"), (8, "shift")])
def test_devices_that_cannot_share_out_tokens_are_refused_with_the_reason(
    llama_model: Model, shift_tokens: int | None, parallel: str
) -> None:
    require_supported(sharing(make_plan(llama_model, [((0, 4), (1, 1, 1))]), shift_tokens))
    uneven = sharing(make_plan(llama_model, [((0, 4), (2, 1))]), shift_tokens)
    reason = f"stage s0: found parallel {parallel}, but its devices have 1 and 2 KV heads"
    with pytest.raises(InputError, match=reason):
        require_supported(uneven)


@pytest.mark.parametrize("sp_degree", [3, 4])
def test_groups_that_would_be_uneven_or_of_one_device_are_refused_with_the_reason(
    llama_model: Model, sp_degree: int
) -> None:
    four = llama_model.model_copy(update={"heads": 8, "kv_heads": 4})
    plan = make_plan(four, [((0, 4), (1, 1, 1, 1))])
    require_supported(sharing(plan, 8, sp_degree=2))
    reason = f"shift, but its SP degree is {sp_degree}, needed a divisor of its 4 devices above 1"
    with pytest.raises(InputError, match=reason):
        require_supported(sharing(plan, 8, sp_degree))


def test_shards_that_would_cut_blocks_of_weights_are_refused_with_the_reason(
    llama_model: Model,
) -> None:
    blocks = WeightFormat(name="fp8", block_rows=32, block_columns=32)
    quantised = llama_model.model_copy(update={"weights": blocks})
    whole = make_plan(quantised, [((0, 4), (1, 1, 1))])
    require_supported(sharing(whole))
    with pytest.raises(InputError, match="shift, but its shards cut blocks of quantised weights"):
        require_supported(sharing(whole, 8))


def test_a_family_whose_layers_are_those_of_transformers_shares_out_nothing(
    llama_model: Model,
) -> None:
    other = llama_model.model_copy(update={"family": "gemma"})
    with pytest.raises(InputError, match="found 3 devices for a gemma model, needed one"):
        require_supported(sharing(make_plan(other, [((0, 4), (1, 1, 1))])))
