from __future__ import annotations

import pytest
import torch
from support.runtime_plans import make_plan

from hexplan.errors import InputError
from hexplan.model import Model
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
