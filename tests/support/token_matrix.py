"""Many requests through a layout of stages: they come, share prefixes, make way and are cancelled.

Each request's tokens must be those of transformers' greedy decoding in 32 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from support.callers import Caller, is_idle
from support.processes import wait_until
from support.reference import CLEAR_MARGIN, Continuation, continue_greedily, load_reference
from support.runtime_plans import StageSpec, make_plan
from support.threads import running_in_threads

from hexplan.plan import Plan
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan.schedule.queueing.params import Queueing
from hexplan.step_limits import StepLimits
from hexplan_runtime.engine.outcomes import Cancelled, Failed
from hexplan_runtime.engine.snapshot import EngineSnapshot
from hexplan_runtime.request import Request

KV_TOKENS = 260
LIMITS = StepLimits(tokens=24, decodes=8)
MOST_NEW = 44
PATIENCE_S = 300.0


@dataclass(frozen=True)
class Layout:
    """Stages of a model of four layers, and the routes through them."""

    stages: list[StageSpec]
    routes: list[tuple[list[int], int]] | None = None
    change: Callable[[Plan], Plan] = lambda plan: plan
    """What is changed of the plan."""
    queue: Queueing | None = None
    """Which requests run next; as the plan says if None."""


def prompts_with_shared_beginnings(vocab: int, seed: int) -> Iterator[tuple[int, ...]]:
    """Yield prompts of 1 to 100 random tokens; two of three begin with one of three others."""
    random = Random(seed)
    shared = [tuple(random.randrange(vocab) for _ in range(size)) for size in (16, 40, 70)]
    while True:
        own = tuple(random.randrange(vocab) for _ in range(random.randint(1, 30)))
        yield random.choice(shared) + own if random.random() < 0.67 else own


def continuations(folder: Path, count: int) -> list[Continuation]:
    """Return so many prompts of a family, and what follows them."""
    model = load_reference(folder)
    prompts = prompts_with_shared_beginnings(model.config.vocab_size, seed=11)
    found = (continue_greedily(model, prompt, MOST_NEW) for prompt in prompts)
    clear = (one for one in found if one.margin > CLEAR_MARGIN)
    return list(islice(clear, count))


def check_layout(folder: Path, layout: Layout, wanted: list[Continuation]) -> EngineSnapshot:
    """Send all requests at once, cancel some, and compare; return what the engine has done."""
    random = Random(5)
    model = read_model_folder(folder)
    plan = make_plan(model, layout.stages, layout.routes, KV_TOKENS, step_limits=LIMITS)
    plan = layout.change(plan)
    caller = Caller()
    news = [random.randint(1, MOST_NEW) for _ in wanted]
    doomed = set(random.sample(range(len(wanted)), len(wanted) // 8))
    with running_in_threads(plan, folder, layout.queue) as core:
        tickets = [
            core.submit(Request(one.prompt_ids, new), caller.deliver_as(index))
            for index, (one, new) in enumerate(zip(wanted, news, strict=True))
        ]
        for index in sorted(doomed)[::2]:
            tickets[index].cancel()
        while len(caller.ends) < len(wanted):
            index = caller.take(PATIENCE_S)
            if index in doomed and len(caller.tokens[index]) == 2:
                tickets[index].cancel()
        assert wait_until(lambda: is_idle(core))
        seen = core.snapshot()
    for index, (one, new) in enumerate(zip(wanted, news, strict=True)):
        tokens, end = tuple(caller.tokens[index]), caller.ends[index]
        assert tokens == one.token_ids[: len(tokens)]
        if isinstance(end, Failed):
            assert index in doomed
            assert isinstance(end.error, Cancelled)
        else:
            assert len(tokens) == new
    return seen
