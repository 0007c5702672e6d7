"""Print decodes and prompts of a launched stage beside those of llama.cpp, on one thread each.

    pip install gguf xllamacpp
    python benchmarks/llama_cpp.py [--sizes 28M,125M] [--types float32,bfloat16] [--batches 1,8,32]

Both run the same random weights. As many requests as a batch start at once, and are timed from
there to the last token of all: with one new token each, which is `prompts`, and with more, of whose
differences follows the time of a decode. The two take turns, and the shortest times count.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import gguf
import numpy as np
import torch
import xllamacpp
from planner import machine, row
from random_llamas import SIZES, make_llama
from safetensors import safe_open

from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request
from runtime import one_stage_plan

PROMPT_TOKENS: Final = 64
FEW, MANY = 9, 41
"""New tokens of a request, of whose times the decodes are the difference."""
HEADINGS: Final = (
    *("model", "type", "batch", "prompts, ms", "llama.cpp", "ratio"),
    *("decode, ms", "llama.cpp", "ratio", "tokens/s", "llama.cpp"),
)
NAMES: Final = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
Run = Callable[[Sequence[Sequence[int]], int], None]
"""Runs prompts that start at once to so many new tokens each."""


def main() -> None:
    """Measure each model in each type at each batch, and print a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default="28M,125M")
    parser.add_argument("--types", default="float32,bfloat16")
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where models are kept; a temporary one else")
    arguments = parser.parse_args()
    print(f"{date.today()}, {machine()}, xllamacpp {xllamacpp.__version__}\n")  # noqa: DTZ011
    print(row(HEADINGS), row(["---"] * len(HEADINGS)), sep="\n", flush=True)
    with TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        for size in arguments.sizes.split(","):
            model = make_llama(size, folder / size)
            for dtype in arguments.types.split(","):
                file = write_gguf(size, dtype, model, folder / f"{size}-{dtype}.gguf")
                for batch in map(int, arguments.batches.split(",")):
                    with ExitStack() as stack:
                        pipeline = stack.enter_context(Pipeline(one_stage_plan(model, dtype)))
                        runs = launched(pipeline), served_by_llama(file, batch)
                        cells = measured(runs, (batch, pipeline.plan.model.vocab), arguments.rounds)
                    print(row([size, dtype, str(batch), *cells]), flush=True)


def measured(runs: Sequence[Run], shape: tuple[int, int], rounds: int) -> list[str]:
    """Return the cells of a row: times of prompts and of decodes, ours and theirs.

    Parameters
    ----------
    shape
        Requests, and tokens of the vocabulary.
    """
    batch, vocab = shape
    best = [[float("inf")] * 3 for _ in runs]
    for number in range(rounds + 1):
        generator = torch.Generator().manual_seed(number)
        # New prompts each time, of which neither has the keys yet.
        prompts = torch.randint(300, vocab, (3, batch, PROMPT_TOKENS), generator=generator).tolist()
        for index, tokens in enumerate((1, FEW, MANY)):
            for run, times in zip(runs, best, strict=True):
                begun_s = time.perf_counter()
                run(prompts[index], tokens)
                if number:
                    times[index] = min(times[index], time.perf_counter() - begun_s)
    (ours, theirs) = ((1000 * t[0], 1000 * (t[2] - t[1]) / (MANY - FEW)) for t in best)
    cells = []
    for our_ms, their_ms in zip(ours, theirs, strict=True):
        cells += [f"{our_ms:.1f}", f"{their_ms:.1f}", f"{their_ms / our_ms:.2f}"]
    return [*cells, f"{1000 * batch / ours[1]:.0f}", f"{1000 * batch / theirs[1]:.0f}"]


def launched(pipeline: Pipeline) -> Run:
    """Return what runs prompts through a launched plan."""

    def run(prompts: Sequence[Sequence[int]], tokens: int) -> None:
        for _ in pipeline.generate([Request(tuple(prompt), tokens) for prompt in prompts]):
            pass

    return run


def served_by_llama(file: Path, batch: int) -> Run:
    """Return what runs prompts by llama.cpp's server on one thread."""
    params: Any = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.n_parallel, params.n_ctx = batch, 256 * batch
    params.n_batch = params.n_ubatch = 512
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cont_batching, params.warmup, params.cache_ram_mib = True, True, 0
    params.verbosity = 0
    server = xllamacpp.Server(params)

    def ask(prompt: Sequence[int], tokens: int) -> None:
        asked = {
            "prompt": list(prompt),
            "n_predict": tokens,
            "ignore_eos": True,
            "temperature": 0,
            "cache_prompt": False,
        }
        found = server.handle_completions(asked)
        assert found["timings"]["predicted_n"] == tokens, found

    def run(prompts: Sequence[Sequence[int]], tokens: int) -> None:
        with ThreadPoolExecutor(len(prompts)) as pool:
            list(pool.map(lambda prompt: ask(prompt, tokens), prompts))

    return run


def write_gguf(size: str, dtype: str, model: Path, file: Path) -> Path:
    """Write a Llama as llama.cpp reads it, and return the file."""
    config = SIZES[size]
    writer: Any = gguf.GGUFWriter(str(file), "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_vocab_size(config["vocab_size"])
    _add_words(writer, config["vocab_size"])
    with safe_open(model / "model.safetensors", "pt") as weights:
        for name in weights.keys():  # noqa: SIM118  not a mapping
            weight, renamed = weights.get_tensor(name), _renamed(name)
            heads = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}
            kind = renamed.split(".")[-2]
            if kind in heads:
                weight = _interleaved(weight, config[heads[kind]])
            _add(writer, renamed, weight, dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_words(writer: Any, vocab: int) -> None:
    """Add a vocabulary: what ends and begins texts, the bytes, and a word for each other token."""
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * 2, *[gguf.TokenType.BYTE] * 256]
    words += [f"w{token}" for token in range(len(words), vocab)]
    kinds += [gguf.TokenType.NORMAL] * (vocab - len(kinds))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(words)
    writer.add_token_scores([0.0] * vocab)
    writer.add_token_types(kinds)


def _add(writer: Any, name: str, weight: torch.Tensor, dtype: str) -> None:
    if dtype == "bfloat16" and weight.dim() > 1:
        bits = weight.to(torch.bfloat16).view(torch.uint8).numpy()
        writer.add_tensor(name, bits, raw_dtype=gguf.GGMLQuantizationType.BF16)
    else:
        writer.add_tensor(name, weight.float().numpy().astype(np.float32))


def _renamed(name: str) -> str:
    outside = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    if name in outside:
        return outside[name]
    layer, _, rest = name.removeprefix("model.layers.").partition(".")
    return f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight"


def _interleaved(weight_OI: torch.Tensor, heads: int) -> torch.Tensor:
    """Return rows with the two channels of a rotary pair side by side, as llama.cpp has them."""
    outputs, inputs = weight_OI.shape
    by_half = weight_OI.view(heads, 2, outputs // heads // 2, inputs)
    return by_half.transpose(1, 2).reshape(outputs, inputs)


if __name__ == "__main__":
    main()
