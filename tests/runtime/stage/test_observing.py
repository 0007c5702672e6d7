"""Observing a launch: every step and message is written once, and nothing is where nobody asked."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from support.runtime_plans import make_plan

from hexplan.errors import InputError
from hexplan.measured.observation_file import ObservationFile
from hexplan.measured.observations import Load, Observations, StepSeen, read_observations
from hexplan.model import Model
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.launch.collecting import Collector
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import GREEDY, Request
from hexplan_runtime.stage.edges import Ends
from hexplan_runtime.stage.messages import EndSeen
from hexplan_runtime.stage.observing import Observer, loads_of

PROMPTS = [(1, 2, 3), (4, 5, 6, 7, 8), (9,)]
NUM_TOKENS = 6


def row(position: int, tokens: int, route: int = 0, *, decodes: bool = False) -> Row:
    return Row(1, route, position, tokens, context_tokens=99, sampling=GREEDY, decodes=decodes)


@pytest.mark.parametrize(
    ("rows", "loads"),
    [
        ([row(0, 5)], [Load(enter_layer=0, prompt_tokens=5, reach=12.5)]),
        ([row(10, 4)], [Load(enter_layer=0, prompt_tokens=4, reach=48.0)]),  # a later piece
        ([row(7, 1, decodes=True)], [Load(enter_layer=0, decode_tokens=1, context=8)]),
        ([row(7, 1)], [Load(enter_layer=0, prompt_tokens=1, reach=7.5)]),  # a last piece
        ([row(0, 1)], [Load(enter_layer=0, prompt_tokens=1, reach=0.5)]),  # a prompt of one token
        ([row(0, 0)], []),  # the end of a request
        (
            [row(3, 1, decodes=True), row(0, 2), row(9, 1, route=1, decodes=True)],
            [
                Load(enter_layer=0, prompt_tokens=2, reach=2.0, decode_tokens=1, context=4),
                Load(enter_layer=3, decode_tokens=1, context=10),
            ],
        ),
    ],
)
def test_a_step_is_told_by_where_its_rows_enter(rows: list[Row], loads: list[Load]) -> None:
    assert loads_of(rows, lambda route: 3 * route) == tuple(loads)


def seen(at_s: float, edge: tuple[str, str], *, is_sent: bool) -> EndSeen:
    ends = {"source": edge[0], "target": edge[1]}
    return EndSeen(**ends, is_sent=is_sent, at_s=at_s, tokens=1, bytes=200)


def test_sends_and_receipts_of_an_edge_are_joined_in_their_order(
    llama_model: Model, tmp_path: Path
) -> None:
    plan, path = make_plan(llama_model, [((0, 2), (1,)), ((2, 4), (1,))]), tmp_path / "o.jsonl"
    there, back = ("s0", "s1"), ("s1", "exit")
    with ObservationFile(path, plan) as file:
        collector = Collector(file)
        collector.begin()
        now_s = time.perf_counter()
        collector.take([seen(now_s + 3, there, is_sent=False)])  # reports come in any order
        collector.take([seen(now_s + 1, there, is_sent=True), seen(now_s + 2, there, is_sent=True)])
        collector.take([seen(now_s + 1, back, is_sent=True)])
        collector.take([seen(now_s + 7, there, is_sent=False)])
        collector.finish()
    found = read_observations(path, plan).transfers
    assert [(t.source, t.target, t.seconds) for t in found] == [
        ("s0", "s1", pytest.approx(2.0)),
        ("s0", "s1", pytest.approx(5.0)),
    ]


def test_a_disk_that_is_full_is_told_at_the_end_and_stops_no_thread(
    llama_model: Model, tmp_path: Path
) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    plan = make_plan(llama_model, [((0, 4), (1,))])
    with ObservationFile(tmp_path / "o.jsonl", plan) as file:
        with full.open("wb", buffering=0) as device:
            os.dup2(device.fileno(), file._file)
        collector = Collector(file)
        collector.begin()
        collector.take([])
        with pytest.raises(InputError, match="No space left on device"):
            collector.finish()


def test_a_watch_hands_over_all_of_it_in_small_parts() -> None:
    parts: list[int] = []
    observer = Observer(lambda some: parts.append(len(some)))
    sender = observer.over_ends(
        Ends({"s0": Nowhere()}, {}), sends_from="entry", receives_at="exit"
    ).senders["s0"]
    for _ in range(100):
        sender.send(Batch((row(0, 1),)))
    observer.close()
    assert sum(parts) == 100
    assert max(parts) <= 32


class Nowhere:
    """An edge that ends nowhere."""

    def send(self, batch: Batch) -> None:
        assert batch.tokens == 1


def test_a_launch_writes_every_step_and_message(
    llama: Path, llama_model: Model, tmp_path: Path
) -> None:
    """Each of two stages runs every token once, the first on two devices."""
    plan = make_plan(llama_model, [((0, 2), (2, 1)), ((2, 4), (1,))])
    path = tmp_path / "observed.jsonl"
    requests = [Request(prompt, NUM_TOKENS) for prompt in PROMPTS]
    with ObservationFile(path, plan) as file, Pipeline(plan, llama, observe=file) as pipeline:
        assert sum(1 for _ in pipeline.generate(requests)) == NUM_TOKENS * len(PROMPTS)
    found = read_observations(path, plan)
    assert len(found.launches) == 1
    for stage in ("s0", "s1"):
        steps = [step for step in found.steps[0] if step.stage == stage]
        prompts, decodes = tokens(steps)
        assert prompts == sum(map(len, PROMPTS))
        assert decodes == (NUM_TOKENS - 1) * len(PROMPTS)
        assert sum(step.sampled_rows for step in steps) == (
            NUM_TOKENS * len(PROMPTS) if stage == "s1" else 0
        )
        assert all(0 < step.seconds < 60 for step in steps)
        assert all(step.at_s >= 0 for step in steps)
    check_messages(found)


def tokens(steps: list[StepSeen]) -> tuple[int, int]:
    loads = [load for step in steps for load in step.loads]
    return sum(load.prompt_tokens for load in loads), sum(load.decode_tokens for load in loads)


def check_messages(found: Observations) -> None:
    """Decodes come back to the first stage by themselves, so that only prompts enter."""
    prompt_tokens = sum(map(len, PROMPTS))
    all_tokens = prompt_tokens + (NUM_TOKENS - 1) * len(PROMPTS)
    for edge, tokens in ((("entry", "s0"), prompt_tokens), (("s0", "s1"), all_tokens)):
        mine = [seen for seen in found.transfers if (seen.source, seen.target) == edge]
        assert sum(message.tokens for message in mine) == tokens
        assert all(message.seconds < 60 for message in mine)
        assert all(message.bytes >= 32 + 32 for message in mine)
    out = [seen for seen in found.transfers if seen.target == "exit"]
    assert sum(message.tokens for message in out) == NUM_TOKENS * len(PROMPTS)
