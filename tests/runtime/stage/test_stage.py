"""Stages against the whole model in one process: every family, prompt and decode, every shape."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from support.ranks import run_in_pieces, run_route, running_stages
from support.reference import all_logits, load_reference
from support.runtime_plans import StageSpec, make_plan
from support.tiny_models import OPTIONS, make_option

from hexplan.errors import HexplanError
from hexplan.model import Model
from hexplan.plan import Plan
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.request import Sampling

TEXT = torch.randint(0, 256, (40,), generator=torch.Generator().manual_seed(5)).tolist()
PIECES = {
    "at once": [40],
    "token by token": [1] * 40,
    "in pieces": [7, 9, 1, 1, 22],
}
SHAPES: dict[str, list[StageSpec]] = {
    "one device": [((0, 4), (1,))],
    "uneven teams": [((0, 1), (1,)), ((1, 3), (2, 1)), ((3, 4), (1, 1, 1))],
    "all in three": [((0, 4), (1, 1, 1))],
}
assert_close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module", params=list(OPTIONS))
def option(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_option(request.param, tmp_path_factory.mktemp("option") / request.param)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_every_family_says_what_transformers_says(option: Path, shape: list[StageSpec]) -> None:
    plan = make_plan(read_model_folder(option), shape)
    expected = all_logits(load_reference(option), TEXT)
    for sizes in PIECES.values():
        with running_stages(plan, option) as runners:
            found = run_in_pieces(runners, plan, TEXT, sizes)
        ends = torch.tensor(sizes).cumsum(0) - 1
        assert_close(found, expected[ends])


def rows_of(texts: list[list[int]], routes: list[int]) -> list[Row]:
    return [
        Row(index, route, 0, len(text), 64, Sampling(), samples=True)
        for index, (text, route) in enumerate(zip(texts, routes, strict=True))
    ]


def test_requests_of_one_batch_do_not_see_each_other(llama: Path, llama_model: Model) -> None:
    texts = [TEXT[:7], TEXT[7:8], TEXT[8:30]]
    plan = make_plan(llama_model, SHAPES["uneven teams"])
    batch = Batch(tuple(rows_of(texts, [0, 0, 0])), torch.tensor(TEXT[:30]))
    with running_stages(plan, llama) as runners:
        found = run_route(runners, plan, batch).logits
    reference = load_reference(llama)
    expected = torch.stack([all_logits(reference, text)[-1] for text in texts])
    assert_close(found, expected)


def test_a_request_may_enter_a_stage_inside_its_range(llama: Path, llama_model: Model) -> None:
    """Rows that enter s1 = [0, 4) at layers 0, 2 and 3 share each of its steps."""
    plan = make_plan(
        llama_model,
        [((0, 2), (1,)), ((0, 4), (2, 1)), ((0, 3), (1,))],
        [([1], 40), ([0, 1], 30), ([2, 1], 30)],
    )
    texts = [TEXT[:5], TEXT[5:11], TEXT[11:13]]
    whole, early, late = rows_of(texts, [0, 1, 2])
    with running_stages(plan, llama) as (s0, s1, s2):
        before = s0(Batch((early,), torch.tensor(texts[1]))).hidden
        long_before = s2(Batch((late,), torch.tensor(texts[2]))).hidden
        hidden = torch.cat([before, long_before])
        found = s1(Batch((whole, early, late), torch.tensor(texts[0]), hidden)).logits
    reference = load_reference(llama)
    expected = torch.stack([all_logits(reference, text)[-1] for text in texts])
    assert_close(found, expected)


def shifted(plan: Plan, field: str, by: int) -> Plan:
    """Return the plan with one interval of the second shard moved towards the first."""
    stage = plan.stages[0]
    first, second = stage.shards
    low, high = getattr(second, field)
    wrong = second.model_copy(update={field: (low - by, high - by)})
    broken = stage.model_copy(update={"shards": (first, wrong)})
    return plan.model_copy(update={"stages": (broken,)})


@pytest.mark.parametrize(("field", "by"), [("kv_heads", 1), ("ffn", 8), ("vocab", 8)])
def test_a_wrong_interval_shows_in_the_logits(
    llama: Path, llama_model: Model, field: str, by: int
) -> None:
    """The comparison with transformers can fail: it does for shards that overlap."""
    plan = shifted(make_plan(llama_model, [((0, 4), (2, 1))]), field, by)
    with running_stages(plan, llama) as runners:
        found = run_in_pieces(runners, plan, TEXT, [40])[0]
    expected = all_logits(load_reference(llama), TEXT)[-1]
    assert (found - expected[: len(found)]).abs().max() > 0.1


def test_a_closing_row_frees_the_room_of_its_request(llama: Path, llama_model: Model) -> None:
    plan = make_plan(llama_model, [((0, 4), (1,))], kv_tokens=64)
    (first,), (second,) = rows_of([TEXT[:3]], [0]), rows_of([TEXT[3:6]], [0])
    second = Row(9, 0, 0, 3, 64, Sampling(), samples=True)
    closing = Row(0, 0, 0, 0, 64, Sampling(), closes=True)
    with running_stages(plan, llama) as (stage,):
        stage(Batch((first,), torch.tensor(TEXT[:3])))
        with pytest.raises(HexplanError, match="64 tokens asked, 0 free"):
            stage(Batch((second,), torch.tensor(TEXT[3:6])))
        assert stage(Batch((closing,))).logits is None
        assert stage(Batch((second,), torch.tensor(TEXT[3:6]))).logits is not None


def test_activations_that_arrive_are_left_as_they_are(llama: Path, llama_model: Model) -> None:
    """A team may still be sending them to its other ranks while the first one runs."""
    plan = make_plan(llama_model, [((0, 2), (1,)), ((2, 4), (1,))])
    arrived = torch.randn(5, llama_model.hidden)
    before = arrived.clone()
    (row,) = rows_of([TEXT[:5]], [0])
    with running_stages(plan, llama) as (_, second):
        second(Batch((row,), hidden=arrived))
    assert torch.equal(arrived, before)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bits_come_close_to_thirty_two(llama: Path, dtype: str) -> None:
    plan = make_plan(read_model_folder(llama, dtype), [((0, 2), (2, 1)), ((2, 4), (1,))])  # type: ignore[arg-type]
    with running_stages(plan, llama) as runners:
        found = run_in_pieces(runners, plan, TEXT, [30, 10])[-1].float()
    expected = all_logits(load_reference(llama), TEXT)[-1]
    error = (found - expected).norm() / expected.norm()
    assert error < 0.05


def test_bfloat16_is_as_close_to_exact_arithmetic_as_transformers_is(llama: Path) -> None:
    """The weights are the same numbers in all three, so what differs is how steps are rounded."""
    plan = make_plan(read_model_folder(llama, "bfloat16"), [((0, 4), (1,))])
    with running_stages(plan, llama) as runners:
        ours = run_in_pieces(runners, plan, TEXT, [20, *[1] * 20]).float()
    exact = all_logits(load_reference(llama).bfloat16().float(), TEXT)[19:]
    theirs = all_logits(load_reference(llama).bfloat16(), TEXT)[19:].float()
    assert (ours - exact).norm() < 1.2 * (theirs - exact).norm()
