"""Whole pipelines, one process for each device, against the whole model in one process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import islice
from math import prod
from pathlib import Path

import pytest
import torch
from support.processes import are_gone, command_line, environment, listening_addresses
from support.reference import Continuation, clear_continuations, load_reference
from support.runtime_plans import StageSpec, make_plan
from support.slow import few_are_fast
from transformers import AutoTokenizer

from hexplan.errors import HexplanError, InputError
from hexplan.model import Model
from hexplan.plan import Plan
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan.step_limits import StepLimits
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request, Sampling

NUM_TOKENS = 12
SENTENCE_TOKENS = 24
SHAPES: dict[str, list[StageSpec]] = {
    "2-1-1": [((0, 2), (1, 1)), ((2, 4), (1,)), ((4, 6), (1,))],
    "1-2": [((0, 2), (1,)), ((2, 6), (1, 1))],
    "3-1": [((0, 4), (1, 1, 1)), ((4, 6), (1,))],
    "uneven 2:1": [((0, 3), (2, 1)), ((3, 6), (1,))],
}
KEPT = {"PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH"}


@pytest.fixture(scope="module")
def continuations(austen: Path) -> list[Continuation]:
    """Return fifty prompts of 1 to 60 tokens, and what transformers makes of them."""
    return clear_continuations(load_reference(austen), 50, NUM_TOKENS)


@pytest.fixture(scope="module")
def sentences(austen: Path) -> dict[tuple[int, ...], tuple[int, ...]]:
    """Return fifty beginnings of paragraphs, and what `generate` of transformers adds to each."""
    tokenizer = AutoTokenizer.from_pretrained(austen)
    text = (austen.parent / "corpus" / "emma.txt").read_text(encoding="utf-8")
    paragraphs = [part for part in text.split("\n\n") if len(part) > 80][:1000:20]
    model = load_reference(austen)
    found = {}
    for index, paragraph in enumerate(paragraphs):
        prompt = tokenizer(paragraph[:200]).input_ids[: 4 + 7 * index % 50]
        whole = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
            do_sample=False,
            eos_token_id=None,
            max_new_tokens=SENTENCE_TOKENS,
        )
        found[tuple(prompt)] = tuple(whole[0, len(prompt) :].tolist())
    assert len(found) == 50
    return found


@pytest.fixture(
    scope="module",
    params=few_are_fast(["2-1-1", "uneven 2:1", "1-2", "3-1"], 2),
)
def pipeline(
    request: pytest.FixtureRequest, austen: Path, austen_model: Model
) -> Iterator[Pipeline]:
    with Pipeline(make_plan(austen_model, SHAPES[request.param]), austen) as running:
        yield running


def tokens_of(
    pipeline: Pipeline,
    prompts: list[tuple[int, ...]],
    sampling: Sampling | None = None,
    num_tokens: int = NUM_TOKENS,
) -> list[tuple[int, ...]]:
    """Return the tokens that follow each prompt, all asked for at once."""
    found: list[list[int]] = [[] for _ in prompts]
    requests = [Request(prompt, num_tokens, sampling or Sampling()) for prompt in prompts]
    for event in pipeline.generate(requests):
        found[event.request_index].append(event.token_id)
        assert event.is_last == (len(found[event.request_index]) == num_tokens)
    return [tuple(tokens) for tokens in found]


def test_fifty_prompts_give_the_tokens_of_one_process(
    pipeline: Pipeline, continuations: list[Continuation]
) -> None:
    found = tokens_of(pipeline, [continuation.prompt_ids for continuation in continuations])
    assert found == [continuation.token_ids for continuation in continuations]


@pytest.mark.slow
def test_fifty_real_sentences_go_on_as_transformers_generates_them(
    pipeline: Pipeline, sentences: dict[tuple[int, ...], tuple[int, ...]]
) -> None:
    """No prompt is left out: the least clear of the 1,200 choices has a margin of 2e-3."""
    found = tokens_of(pipeline, list(sentences), num_tokens=SENTENCE_TOKENS)
    assert found == list(sentences.values())


def test_a_wrong_shard_changes_the_tokens(
    austen: Path, austen_model: Model, continuations: list[Continuation]
) -> None:
    """The comparison can fail: here one rank repeats a KV head of the other."""
    plan = make_plan(austen_model, SHAPES["uneven 2:1"])
    first, second = plan.stages[0].shards
    wrong = second.model_copy(update={"kv_heads": (3, 5)})
    stage = plan.stages[0].model_copy(update={"shards": (first, wrong)})
    broken = plan.model_copy(update={"stages": (stage, *plan.stages[1:])})
    with Pipeline(broken, austen) as pipeline:
        found = tokens_of(pipeline, [continuation.prompt_ids for continuation in continuations])
    expected = [continuation.token_ids for continuation in continuations]
    assert sum(one != other for one, other in zip(found, expected, strict=True)) > 40


@pytest.mark.parametrize(
    "family", few_are_fast(["llama3", "qwen3", "llama", "mistral", "qwen2"], 2)
)
def test_a_checkpoint_of_each_family_is_launched_and_agrees(
    family: str, tiny: Callable[[str], Path]
) -> None:
    folder = tiny(family)
    plan = make_plan(read_model_folder(folder), [((0, 2), (1, 1)), ((2, 4), (1,))])
    expected = clear_continuations(load_reference(folder), 5, NUM_TOKENS)
    with Pipeline(plan, folder) as pipeline:
        found = tokens_of(pipeline, [continuation.prompt_ids for continuation in expected])
    assert found == [continuation.token_ids for continuation in expected]


def test_each_rank_reads_its_own_slices_and_no_more(pipeline: Pipeline, austen: Path) -> None:
    """The plan runs in 32 bits, the files are in 16: weights grow twofold on the way."""
    sizes = tensor_bytes(austen)
    expected = [
        planned_bytes(pipeline.plan, stage, rank, sizes)
        for stage in range(len(pipeline.plan.stages))
        for rank in range(pipeline.plan.stages[stage].tp)
    ]
    assert [rank.bytes_read for rank in pipeline.stats] == expected
    assert [rank.weights_bytes for rank in pipeline.stats] == [2 * size for size in expected]


def test_together_the_ranks_read_every_weight_once(pipeline: Pipeline, austen: Path) -> None:
    """All but what must be in several places: norms, and a tied table at both ends."""
    sizes = tensor_bytes(austen)
    stages = pipeline.plan.stages
    copies = sum(
        (stage.tp - 1) * sizes[name]
        for stage in stages
        for name in sizes
        if "layernorm" in name and stage.layers[0] <= layer_of(name) < stage.layers[1]
    )
    copies += (stages[-1].tp - 1) * sizes["model.norm.weight"]
    copies += sizes["model.embed_tokens.weight"]  # first and last stage differ in all shapes
    total = sum(rank.bytes_read for rank in pipeline.stats)
    assert total == sum(sizes.values()) + copies


def test_ranks_of_one_machine_listen_on_no_network(pipeline: Pipeline) -> None:
    assert set().union(*map(listening_addresses, pipeline.pids)) == set()


def test_a_rank_is_told_nothing_by_arguments_and_little_by_variables(pipeline: Pipeline) -> None:
    for pid in pipeline.pids:
        assert command_line(pid)[1:] == ["-P", "-m", "hexplan_runtime.stage.worker"]
        names = {variable.partition("=")[0] for variable in environment(pid)}
        assert names <= KEPT | {"OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GLIBC_TUNABLES"}


def test_a_seed_repeats_what_was_drawn(
    pipeline: Pipeline, continuations: list[Continuation]
) -> None:
    prompts = [continuation.prompt_ids for continuation in continuations[:6]]
    first, again, other = (
        tokens_of(pipeline, prompts, Sampling(temperature=1.0, top_p=0.95, seed=seed))
        for seed in (5, 5, 6)
    )
    assert first == again
    assert first != other


def tensor_bytes(folder: Path) -> dict[str, int]:
    """Return the size of each tensor, from the header of the safetensors file."""
    data = (folder / "model.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    assert {entry["dtype"] for entry in tensors.values()} == {"BF16"}
    return {name: 2 * prod(entry["shape"]) for name, entry in tensors.items()}


def layer_of(name: str) -> int:
    return int(name.split(".")[2])


def planned_bytes(plan: Plan, index: int, rank: int, sizes: dict[str, int]) -> int:
    """Return what one rank must read, tensor by tensor."""
    stage, model = plan.stages[index], plan.model
    shard = stage.shards[rank]
    wholes = {"self_attn": model.kv_heads, "mlp": model.ffn}
    parts = {"self_attn": shard.kv_heads, "mlp": shard.ffn}
    total = 0
    for name, size in sizes.items():
        kind = name.split(".")[3] if ".layers." in name else name
        if kind in parts and stage.layers[0] <= layer_of(name) < stage.layers[1]:
            first, end = parts[kind]
            total += size * (end - first) // wholes[kind]
        elif kind.endswith("layernorm") and stage.layers[0] <= layer_of(name) < stage.layers[1]:
            total += size
        elif kind == "model.embed_tokens.weight" and (index == 0 or index == len(plan.stages) - 1):
            first, end = shard.vocab
            total += size * (end - first) // model.vocab
        elif kind == "model.norm.weight" and index == len(plan.stages) - 1:
            total += size
    return total


@pytest.fixture(scope="module")
def crossing(austen: Path, austen_model: Model) -> Iterator[Pipeline]:
    """Give a pipeline whose routes part after s2 and meet in s1, with little room for KV.

    Requests enter s1 = [2, 6) at layer 2 (from s2) or 4 (from s0 and s3).
    """
    plan = make_plan(
        austen_model,
        [((0, 4), (1,)), ((2, 6), (1,)), ((0, 2), (1,)), ((2, 4), (1,))],
        [([0, 1], 50), ([2, 1], 20), ([2, 3, 1], 30)],
        kv_tokens=300,
        step_limits=StepLimits(tokens=20, decodes=4),
    )
    with Pipeline(plan, austen) as running:
        yield running


def test_routes_through_overlapping_ranges_give_the_same_tokens(
    crossing: Pipeline, continuations: list[Continuation]
) -> None:
    """More requests than fit at once wait; prompts longer than 16 tokens go in pieces."""
    found = tokens_of(crossing, [continuation.prompt_ids for continuation in continuations])
    assert found == [continuation.token_ids for continuation in continuations]
    seen = {(edge.source, edge.target): edge.tokens for edge in crossing.edge_tokens()}
    total = seen["s1", "exit"]
    assert total == sum(len(c.prompt_ids) + NUM_TOKENS - 1 for c in continuations)
    assert seen["s2", "s1"] + seen["s2", "s3"] == seen["entry", "s2"]
    for edge, share in ((("s0", "s1"), 0.5), (("s2", "s1"), 0.2), (("s3", "s1"), 0.3)):
        assert seen[edge] / total == pytest.approx(share, abs=0.15)


def test_dropped_requests_give_their_room_back(
    crossing: Pipeline, continuations: list[Continuation]
) -> None:
    prompts = [continuation.prompt_ids for continuation in continuations]
    for _ in range(3):
        dropped = crossing.generate([Request(prompt, 100) for prompt in prompts])
        assert len(list(islice(dropped, 5))) == 5
        del dropped
    found = tokens_of(crossing, prompts[:10])
    assert found == [continuation.token_ids for continuation in continuations[:10]]


def test_a_stop_token_ends_a_request_early(
    crossing: Pipeline, continuations: list[Continuation]
) -> None:
    tokens = continuations[0].token_ids
    stop = tokens[4]
    request = Request(continuations[0].prompt_ids, NUM_TOKENS, stop_ids=(stop,))
    events = list(crossing.generate([request]))
    assert tuple(event.token_id for event in events) == tokens[: tokens.index(stop) + 1]
    assert [event.finish_reason for event in events if event.is_last] == ["stop"]


def test_a_request_beyond_all_room_is_refused_before_any_is_sent(crossing: Pipeline) -> None:
    before = crossing.edge_tokens()
    with pytest.raises(InputError, match=r"request 1: 200 prompt \+ 101 new = 301 .* for 300"):
        crossing.generate([Request((1,), 1), Request((1,) * 200, 101)])
    assert crossing.edge_tokens() == before


def test_nothing_is_left_after_the_end(llama: Path, llama_model: Model) -> None:
    with Pipeline(make_plan(llama_model, [((0, 4), (1,))]), llama) as pipeline:
        pids = pipeline.pids
        assert len(tokens_of(pipeline, [(1, 2)])[0]) == NUM_TOKENS
    assert are_gone(pids)
    with pytest.raises(HexplanError, match="not running"):
        pipeline.generate([Request((1,), 1)])


@pytest.mark.slow
def test_an_idle_pipeline_outlives_its_start_up_limit(llama: Path, llama_model: Model) -> None:
    plan = make_plan(llama_model, [((0, 2), (1, 1)), ((2, 4), (1,))])
    with Pipeline(plan, llama, start_timeout_s=20) as pipeline:
        time.sleep(25)
        assert len(tokens_of(pipeline, [(1, 2)])[0]) == NUM_TOKENS
