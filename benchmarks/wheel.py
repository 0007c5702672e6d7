"""Derive the points of measured/kernels.json.gz from the tables of the aiconfigurator-core wheel.

    pip install aiconfigurator-core==0.12.0 pyarrow pandas
    python benchmarks/wheel.py .../site-packages/aiconfigurator_core/systems

The wheel (NVIDIA, Apache-2.0) has the times of single kernels of serving engines, and requests that
were measured end to end. A layer is put together from its four matrix multiplications, its
attention and its two all-reduces.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.interpolate import RegularGridInterpolator

from hexplan.catalog.shipped import find_device, find_model
from hexplan.model import Model

TARGET = Path(__file__).parent / "measured/kernels.json.gz"
FOLDERS: Mapping[str, str] = {
    "A100-80GB-SXM": "a100_sxm",
    "H100-SXM": "h100_sxm",
    "H200-SXM": "h200_sxm",
    "B200-SXM": "b200_sxm",
    "B300-SXM": "b300_sxm",
    "GB200": "gb200",
    "L40S": "l40s",
    "RTX-PRO-6000-BSE": "rtx_pro_6000_server",
}
"""The wheel's folder of each device of the catalog."""
DENSE = ("llama-3.1-8b", "llama-3.1-70b", "qwen3-32b", "qwen3-14b", "qwen3-8b")
ROUTED = ("mixtral-8x7b", "mixtral-8x22b", "qwen3-235b-a22b", "qwen3-30b-a3b")
DEGREES = (1, 2, 4, 8)
PROMPTS = (128, 256, 512, 1024, 2048, 4096, 8192)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CONTEXTS = (512, 2048, 8192, 32768)
EXPERT_TOKENS = (1, 4, 16, 64, 256, 1024, 4096)
MESSAGES = tuple(1 << power for power in range(11, 28))
"""Numbers in a message, not bytes: so the wheel counts them."""
DTYPES = ("bfloat16", "fp8")
ENGINES = ("vllm", "sglang", "trtllm")
SPREAD = "power_law_1.01"
"""How unevenly tokens choose experts: the middle one of the wheel's three spreads."""
# Not nvidia/Llama-3.1-8B-Instruct-FP8: some of its rows take less time than the peak rates allow.
END_MODELS: Mapping[str, str] = {
    "meta-llama/Llama-3.1-70B": "llama-3.1-70b",
    "meta-llama/Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "Qwen/Qwen3-32B": "qwen3-32b",
    "Qwen/Qwen3-235B-A22B-FP8": "qwen3-235b-a22b",
}
Row = list[str | int | float]


@dataclass(frozen=True)
class Tables:
    """The kernels of one device."""

    root: Path
    bytes_per_s: int
    """Peak bandwidth of its memory."""

    def newest(self, family: str, name: str) -> pd.DataFrame:
        """Return the table of the newest version that the wheel has."""
        found = sorted((self.root / family).glob(f"*/{name}.parquet"), key=_version)
        return pd.read_parquet(found[-1])

    def matrices(self, dtype: str) -> RegularGridInterpolator | None:
        """Return log seconds by the logs of rows, outputs and inputs; None if not measured.

        They are those of the fastest engine: each is slow at some shapes that others run well.
        """
        own, *others = (self.newest(f"gemm/{engine}", "gemm_perf") for engine in ENGINES)
        own, *others = (table[table.gemm_dtype == dtype] for table in (own, *others))
        if own.empty:
            return None
        others = [table[_reads_memory(table, dtype, self.bytes_per_s)] for table in others]
        least = pd.concat([own, *others]).groupby(["m", "n", "k"]).latency.min()
        axes = [np.array(sorted(own[axis].unique()), dtype=float) for axis in "mnk"]
        index = pd.MultiIndex.from_product(axes, names=["m", "n", "k"])
        grid = np.log(least.reindex(index).to_numpy() * 1e-3).reshape([len(a) for a in axes])
        return RegularGridInterpolator([np.log(axis) for axis in axes], grid)

    def attention(self, phase: str, model: Model, n: int) -> pd.Series:
        """Return seconds by tokens of a prompt, or by batch and context."""
        name = {"prefill": "context", "decode": "generation"}[phase]
        table = self.newest("attention/vllm", f"{name}_attention_perf")
        heads, keys = model.heads // n, max(1, model.kv_heads // n)
        table = table[
            (table.num_heads == heads)
            & (table.head_dim == model.head_dim)
            & (table.kv_cache_dtype == "bfloat16")
        ]
        if "window_size" in table:
            table = table[table.window_size == 0]
        grouped = table[table.num_key_value_heads == keys]
        # A kernel with one KV head for each query head stands in where no other was measured.
        table = table[table.num_key_value_heads == heads] if grouped.empty else grouped
        if phase == "prefill":
            return table[table.batch_size == 1].groupby("isl").latency.min() * 1e-3
        return table.groupby(["batch_size", "step"]).latency.min() * 1e-3

    def reduce(self, n: int) -> pd.Series:
        """Return seconds of an all-reduce by its numbers, of NCCL's or the engine's own kernel."""
        nccl = self.newest("comm/nccl", "nccl_perf")
        nccl = nccl[(nccl.op_name == "all_reduce") & (nccl.nccl_dtype == "half")]
        own = self.newest("comm/vllm", "custom_allreduce_perf")
        own = own[own.kernel_source.str.contains("graph")]
        columns = ["num_gpus", "message_size", "latency"]
        table = pd.concat([nccl[columns], own[columns]])
        return table[table.num_gpus == n].groupby("message_size").latency.min() * 1e-3

    @staticmethod
    def _expert_format(dtype: str, table: pd.DataFrame) -> str:
        """Return the format of experts: of two that have 8 bits, the one that is usually faster."""
        sizes = ["num_tokens", "hidden_size", "inter_size", "num_experts", "topk", "moe_tp_size"]
        means = table.groupby(["moe_dtype", *sizes]).latency.mean()
        if dtype != "fp8" or "fp8_block" not in means.index.levels[0]:
            return dtype
        ratios = (means["fp8_block"] / means["fp8"]).dropna()
        return "fp8_block" if ratios.median() < 1 else "fp8"

    def experts(self, dtype: str, model: Model, n: int) -> pd.Series:
        """Return seconds of all experts of a layer, by tokens."""
        assert model.experts is not None
        table = self.newest("moe/vllm", "moe_perf")
        table = table[
            (table.moe_dtype == self._expert_format(dtype, table))
            & (table.hidden_size == model.hidden)
            & (table.inter_size == model.ffn)
            & (table.num_experts == model.experts.total)
            & (table.topk == model.experts.active)
            & (table.moe_tp_size == n)
            & (table.moe_ep_size == 1)
            & (table.distribution == SPREAD)
        ]
        return table.groupby("num_tokens").latency.min() * 1e-3


def _reads_memory(table: pd.DataFrame, dtype: str, bytes_per_s: int) -> pd.Series:
    """Say which kernels took long enough to read their weights from memory, not from the cache."""
    weights = table.n * table.k * (1 if dtype == "fp8" else 2)
    return table.latency * 1e-3 * bytes_per_s > weights


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.parent.name.split(".") if part.isdigit())


def dense_rows(device: str, tables: Tables) -> Iterator[Row]:
    """Yield device, type, model, degree, phase, tokens, context, and seconds of each part."""
    reduces = {n: tables.reduce(n) for n in DEGREES[1:]}
    for dtype in DTYPES:
        matrices = tables.matrices(dtype)
        if matrices is None:
            continue
        for name in DENSE:
            model = model_of(name)
            for n in DEGREES:
                if n > 1 and reduces[n].empty:
                    continue
                for phase in ("prefill", "decode"):
                    for tokens, context, attention_s in _attended(tables, phase, model, n):
                        matrices_s = _matrices_s(matrices, model, n, tokens)
                        reduce_s = 2 * _at(reduces[n], tokens * model.hidden) if n > 1 else 0.0
                        parts = (matrices_s, attention_s, reduce_s)
                        if np.isfinite(matrices_s):
                            head: Row = [device, dtype, name, n, phase, tokens, context]
                            yield [*head, *map(_short, parts)]


def _attended(tables: Tables, phase: str, model: Model, n: int) -> Iterator[tuple[int, int, float]]:
    table = tables.attention(phase, model, n)
    if phase == "prefill":
        yield from ((x, x, float(table[x])) for x in PROMPTS if x in table.index)
        return
    for batch in BATCHES:
        for context in CONTEXTS:
            # `step` counts the tokens before the one that is decoded.
            if (batch, context - 1) in table.index:
                yield batch, context, float(table[batch, context - 1])


def _matrices_s(matrices: RegularGridInterpolator, model: Model, n: int, tokens: int) -> float:
    """Return the seconds of q, k and v; the output projection; gate and up; and down."""
    heads, keys = model.heads * model.head_dim // n, model.kv_heads * model.head_dim // n
    shapes = (
        (heads + 2 * keys, model.hidden),
        (model.hidden, heads),
        (2 * model.ffn // n, model.hidden),
        (model.hidden, model.ffn // n),
    )
    points = np.log([(tokens, outputs, inputs) for outputs, inputs in shapes])
    return float(np.exp(matrices(points)).sum())


def expert_rows(device: str, tables: Tables) -> Iterator[Row]:
    """Yield device, type, model, degree, tokens and seconds of the experts of a layer."""
    for dtype in DTYPES:
        for name in ROUTED:
            for n in DEGREES:
                table = tables.experts(dtype, model_of(name), n)
                for tokens in EXPERT_TOKENS:
                    if tokens in table.index:
                        yield [device, dtype, name, n, tokens, _short(float(table[tokens]))]


def reduce_rows(device: str, tables: Tables) -> Iterator[Row]:
    """Yield device, number of devices, bytes and seconds of one all-reduce."""
    for n in DEGREES[1:]:
        table = tables.reduce(n)
        for numbers in MESSAGES:
            if numbers in table.index:
                yield [device, n, 2 * numbers, _short(float(table[numbers]))]


def end_rows(systems: Path) -> Iterator[Row]:
    """Yield requests measured end to end, on engines that neither split phases nor attention.

    Device, type, model, engine, degree, prompt and output tokens, requests at once, and the
    measured seconds to the first token and between two tokens.
    """
    table = pd.read_csv(systems / "silicon_sample.csv")
    devices = {folder: device for device, folder in FOLDERS.items()}
    # Where the wheel names no type of weights, they have that of the checkpoint.
    formats = table.gemm_quant_mode.where(table.gemm_quant_mode.notna(), "bfloat16")
    table = table.assign(dtype=formats.replace("fp8_block", "fp8"))
    plain = table[
        (table["mode"] == "agg")
        & table.model_path.isin(END_MODELS)
        & table.system.isin(devices)
        & table["dtype"].isin(DTYPES)
        & (table.system != "gb200")
        & (table.attention_dp_size.fillna(1) == 1)
        & (table.pp_size.fillna(1) == 1)
        & (table.moe_ep_size.fillna(1) == 1)
    ]
    for row in plain.itertuples():
        counts = (row.tp_size, row.isl, row.osl, row.batch_size)
        head: Row = [devices[row.system], row.dtype, END_MODELS[row.model_path], row.backend]
        times = (row.silicon_ttft_ms, row.silicon_tpot_ms)
        yield [*head, *map(int, counts), *(_short(ms * 1e-3) for ms in times)]


def model_of(name: str) -> Model:
    """Return a model of the catalog."""
    model = find_model(name)
    assert model is not None
    return model


def _at(table: pd.Series, numbers: int) -> float:
    logs = np.log(table.index.to_numpy(dtype=float)), np.log(table.to_numpy())
    return float(np.exp(np.interp(np.log(numbers), *logs)))


def _short(seconds: float) -> float:
    return float(f"{seconds:.4g}")


def main() -> None:
    """Write the points."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("systems", type=Path, help="the folder aiconfigurator_core/systems")
    systems = parser.parse_args().systems
    tables = {}
    for name, folder in FOLDERS.items():
        kind = find_device(name)
        assert kind is not None
        tables[name] = Tables(systems / "data" / folder, kind.memory_bandwidth_bytes_per_s)
    kinds = {"layers": dense_rows, "experts": expert_rows, "reduces": reduce_rows}
    found = {
        kind: [row for name, table in tables.items() for row in rows(name, table)]
        for kind, rows in kinds.items()
    }
    found["requests"] = list(end_rows(systems))
    lines = (f'"{kind}": [\n{_joined(rows)}\n]' for kind, rows in found.items())
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    TARGET.write_bytes(gzip.compress(text.encode(), mtime=0))
    print({kind: len(rows) for kind, rows in found.items()})


def _joined(rows: list[Row]) -> str:
    return ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)


if __name__ == "__main__":
    main()
