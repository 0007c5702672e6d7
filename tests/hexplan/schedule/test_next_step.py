"""The next step: never beyond its limits, in order, and with a part for prompts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from hexplan.schedule.limits import least_prompt_tokens, most_decodes
from hexplan.schedule.step import WholeStepLimits, next_step, next_whole_step, prompt_room
from hexplan.step_limits import StepLimits


@dataclass(frozen=True)
class Work:
    """Tokens `[first, first + tokens)` of a request."""

    order_key: int
    first: int
    tokens: int
    is_prompt: bool

    def cut(self, tokens: int) -> tuple[Work, Work]:
        rest = replace(self, first=self.first + tokens, tokens=self.tokens - tokens)
        return replace(self, tokens=tokens), rest


def limits_of(tokens: int) -> st.SearchStrategy[StepLimits]:
    decodes = st.integers(1, most_decodes(tokens))
    return st.builds(StepLimits, tokens=st.just(tokens), decodes=decodes)


LIMITS = st.integers(2, 60).flatmap(limits_of)
SIZES = st.lists(
    st.tuples(st.integers(0, 7), st.integers(1, 90), st.booleans()),
    max_size=25,
)


def queue_of(sizes: list[tuple[int, int, bool]]) -> list[Work]:
    """Return work whose positions go on within each request."""
    ends: dict[int, int] = {}
    queue = []
    for request, tokens, is_prompt in sizes:
        first = ends.get(request, 0)
        ends[request] = first + tokens
        queue.append(Work(request, first, tokens, is_prompt))
    return queue


def tokens_of(queue: list[Work], *, is_prompt: bool) -> int:
    return sum(work.tokens for work in queue if work.is_prompt == is_prompt)


@given(SIZES, LIMITS)
def test_a_step_never_exceeds_its_limits(
    sizes: list[tuple[int, int, bool]], limits: StepLimits
) -> None:
    waiting = queue_of(sizes)
    while waiting:
        taken, waiting = next_step(waiting, limits)
        assert sum(work.tokens for work in taken) <= limits.tokens
        assert tokens_of(taken, is_prompt=False) <= limits.decodes


@given(SIZES, LIMITS)
def test_all_work_is_run_once_and_each_request_in_its_order(
    sizes: list[tuple[int, int, bool]], limits: StepLimits
) -> None:
    queue = waiting = queue_of(sizes)
    run: list[Work] = []
    while waiting:
        taken, waiting = next_step(waiting, limits)
        assert taken, "the oldest work always fits"
        run += taken
    ends: dict[int, int] = {}
    for work in run:
        assert work.first == ends.get(work.order_key, 0)
        ends[work.order_key] = work.first + work.tokens
    for work in queue:
        assert ends[work.order_key] >= work.first + work.tokens


@given(SIZES, LIMITS)
def test_what_is_taken_and_what_stays_keep_the_order_of_arrival(
    sizes: list[tuple[int, int, bool]], limits: StepLimits
) -> None:
    queue = queue_of(sizes)
    place = {(work.order_key, work.first): n for n, work in enumerate(queue)}
    taken, left = next_step(queue, limits)
    uncut = [work for work in left if (work.order_key, work.first) in place]
    for found in (taken, uncut):
        places = [place[work.order_key, work.first] for work in found]
        assert places == sorted(places)


@given(LIMITS, st.integers(0, 500), st.integers(1, 500))
def test_decodes_never_take_the_part_of_prompts(
    limits: StepLimits, decodes: int, prompt: int
) -> None:
    queue = [Work(1 + n, 0, 1, False) for n in range(decodes)] + [Work(0, 0, prompt, True)]
    taken, _ = next_step(queue, limits)
    assert tokens_of(taken, is_prompt=True) >= min(prompt, limits.tokens // 4)
    assert tokens_of(taken, is_prompt=False) == min(decodes, limits.decodes)


@given(st.integers(1, 5000))
def test_the_most_decodes_leave_exactly_the_part_of_prompts(tokens: int) -> None:
    decodes = most_decodes(tokens)
    room = prompt_room(StepLimits(tokens=tokens, decodes=decodes), decodes)
    assert room >= least_prompt_tokens(tokens)
    assert tokens == 1 or room + decodes <= tokens


@given(SIZES, LIMITS, st.integers(40, 80))
def test_a_step_has_no_more_items_than_asked(
    sizes: list[tuple[int, int, bool]], limits: StepLimits, max_items: int
) -> None:
    singles = [
        (request, tokens if is_prompt else 1, is_prompt) for request, tokens, is_prompt in sizes
    ]
    taken, _ = next_step(queue_of(singles), limits, max_items)
    assert len(taken) <= max_items


def test_a_message_without_tokens_goes_along_even_if_the_step_is_full() -> None:
    queue = [Work(0, 0, 9, True), Work(1, 0, 5, True), Work(2, 0, 0, True), Work(1, 5, 0, True)]
    taken, left = next_step(queue, StepLimits(tokens=9, decodes=2))
    assert [work.order_key for work in taken] == [0, 2]
    assert [work.order_key for work in left] == [1, 1], "the end of request 1 stays behind it"


def test_whole_prompts_are_taken_in_order_up_to_their_limits() -> None:
    limits = WholeStepLimits(decodes=3, prompts=2, prompt_tokens=10)
    queue = [
        Work(0, 0, 2, False),
        Work(1, 0, 4, True),
        Work(2, 0, 7, True),  # 4 + 7 > 10
        Work(3, 0, 6, True),
        Work(4, 0, 1, True),  # the third prompt
        Work(5, 0, 2, False),  # one of its two decodes
    ]
    taken, left = next_whole_step(queue, limits)
    assert [(work.order_key, work.tokens) for work in taken] == [(0, 2), (1, 4), (3, 6), (5, 1)]
    assert [(work.order_key, work.tokens) for work in left] == [(2, 7), (4, 1), (5, 1)]


def test_a_whole_prompt_longer_than_the_limit_goes_without_others() -> None:
    limits = WholeStepLimits(decodes=3, prompts=5, prompt_tokens=10)
    taken, left = next_whole_step([Work(0, 0, 99, True), Work(1, 0, 1, True)], limits)
    assert ([work.order_key for work in taken], [work.order_key for work in left]) == ([0], [1])
