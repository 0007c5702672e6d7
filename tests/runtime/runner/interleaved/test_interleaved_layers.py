"""Stages that run steps in two lanes: against the whole model in one process, and by order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.ranks import run_in_pieces, running_stages
from support.reference import all_logits, load_reference
from support.runtime_plans import StageSpec, interleaving, make_plan
from support.tiny_models import OPTIONS, make_option
from torch import Tensor

from hexplan.model import Model
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan_runtime.net.gloo import Group
from hexplan_runtime.net.lane_sums import ThreadSums
from hexplan_runtime.net.team import Team
from hexplan_runtime.runner.interleaved.interleaved_layers import take_turns

TEXT = torch.randint(0, 256, (40,), generator=torch.Generator().manual_seed(5)).tolist()
PIECES = [7, 9, 1, 1, 2, 20]
SHAPE: list[StageSpec] = [((0, 1), (1,)), ((1, 4), (1, 1, 1))]
FAST = ("llama-biases", "qwen3-everything")
SLOW = tuple(name for name in OPTIONS if name not in FAST)
assert_close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)


@pytest.fixture(
    scope="module", params=[*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def option(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_option(request.param, tmp_path_factory.mktemp("option") / request.param)


@pytest.mark.parametrize("from_tokens", [2, 8], ids=["from 2", "from 8"])
def test_every_family_says_in_two_lanes_what_transformers_says(
    option: Path, from_tokens: int
) -> None:
    plan = interleaving(make_plan(read_model_folder(option), SHAPE), from_tokens)
    expected = all_logits(load_reference(option), TEXT)
    ends = torch.tensor(PIECES).cumsum(0) - 1
    with running_stages(plan, option) as runners:
        assert_close(run_in_pieces(runners, plan, TEXT, PIECES), expected[ends])


def sums_begun(
    monkeypatch: pytest.MonkeyPatch, folder: Path, model: Model, from_tokens: int
) -> list[list[int]]:
    """Return, for each rank of a stage, the tokens of all sums that it began beside computing."""
    begun: dict[ThreadSums, list[int]] = {}
    start = ThreadSums.start

    def noted(self: ThreadSums, x: Tensor) -> object:
        begun.setdefault(self, []).append(len(x))
        return start(self, x)

    monkeypatch.setattr(ThreadSums, "start", noted)
    plan = interleaving(make_plan(model, [((0, 4), (1, 1, 1))]), from_tokens, piece_tokens=4)
    with running_stages(plan, folder) as runners:
        run_in_pieces(runners, plan, TEXT, PIECES)
    return list(begun.values())


def test_all_ranks_begin_the_same_sums_in_the_same_order_lane_by_lane(
    llama: Path, llama_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = sums_begun(monkeypatch, llama, llama_model, from_tokens=16)
    assert len(begun) == 3
    # Of the pieces only that of 20 tokens is large enough: two lanes of 10 tokens, in two pieces
    # each. Four layers have two sums each.
    assert begun == [[5, 5, 5, 5] * 4 * 2] * 3


def test_steps_below_the_threshold_are_those_of_plain_tensor_parallelism(
    llama: Path, llama_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sums_begun(monkeypatch, llama, llama_model, from_tokens=21) == []


def test_a_prompt_in_both_lanes_goes_wrong_if_the_second_is_ahead_of_the_first(
    llama: Path, llama_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "hexplan_runtime.runner.interleaved.interleaved_layers"
    monkeypatch.setattr(f"{module}.take_turns", lambda lanes: take_turns(lanes[::-1]))
    plan = interleaving(make_plan(llama_model, SHAPE), from_tokens=2)
    expected = all_logits(load_reference(llama), TEXT)
    ends = torch.tensor(PIECES).cumsum(0) - 1
    with running_stages(plan, llama) as runners:
        found = run_in_pieces(runners, plan, TEXT, PIECES)
    assert (found - expected[ends]).abs().max() > 0.1


@given(st.lists(st.integers(0, 12), max_size=4))
def test_lanes_take_turns_and_keep_their_own_order(lengths: list[int]) -> None:
    went: list[tuple[int, int]] = []

    def lane(number: int, length: int) -> Iterator[None]:
        for part in range(length):
            went.append((number, part))
            yield

    take_turns([lane(*one) for one in enumerate(lengths)])
    turns = [(part, number) for number, length in enumerate(lengths) for part in range(length)]
    assert went == [(number, part) for part, number in sorted(turns)]


def test_sums_that_take_long_on_some_ranks_come_in_the_order_in_which_they_were_begun() -> None:
    random = Random(3)
    came: list[int] = []

    def sum_up(x: Tensor) -> Tensor:
        for _ in range(random.randrange(2000)):
            pass
        came.append(int(x[0]))
        return x

    sums = ThreadSums(sum_up)
    pending = [sums.start(torch.tensor([number])) for number in range(50)]
    assert [int(one.result()[0]) for one in reversed(pending)] == list(range(49, -1, -1))
    assert came == list(range(50))


def test_a_team_sums_lanes_up_over_a_group_of_their_own(llama: Path, llama_model: Model) -> None:
    teams: list[Team] = []
    plan = interleaving(make_plan(llama_model, SHAPE), from_tokens=2)
    with running_stages(plan, llama, teams) as runners:
        run_in_pieces(runners, plan, TEXT, PIECES)
    groups: list[tuple[Group | None, Group | None]] = [(t._group, t._lanes) for t in teams]
    several = [pair for pair in groups if pair[0] is not None]
    assert len(several) == 3
    for own, lanes in several:
        assert own is not lanes
        assert lanes is not None
        assert lanes.sent_bytes > 0
