"""Numbers, names and constraints in words, for people to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, Decimal
from itertools import groupby

from hexplan.cluster import Cluster
from hexplan.field_types import Range
from hexplan.host import Host
from hexplan.model import Model
from hexplan.plan import CutTerm, Stage
from hexplan.results.capacity import in_words

SIZE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
LARGE_GAP, HUGE_FACTOR = 10, 10**6
"""Larger gaps are written as a factor, and only up to a million: percents would mislead."""
BANDWIDTH_UNITS = ("B/s", "kB/s", "MB/s", "GB/s", "TB/s", "PB/s")
BIT_UNITS = (("Tbps", 1e12), ("Gbps", 1e9), ("Mbps", 1e6), ("kbps", 1e3))
TIME_UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))


def printable(text: str) -> str:
    """Return the text with control characters escaped, so that no file can control a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def rate(tokens_per_s: Decimal | float) -> str:
    """Return tokens per second without the unit: three decimals below 10, else one."""
    return f"{tokens_per_s:,.{1 if tokens_per_s >= 10 else 3}f}"


def load(tokens_per_s: Decimal, capacity_tokens_per_s: Decimal) -> str:
    """Return a load and its capacity, without the unit."""
    digits = 0 if capacity_tokens_per_s >= 1000 else 1
    return f"{tokens_per_s:,.{digits}f} of {capacity_tokens_per_s:,.{digits}f}"


def percent(share: Decimal | float) -> str:
    """Return a share in percent, small ones with one decimal."""
    value = float(share) * 100
    return f"{value:.{0 if value >= 10 else 1}f} %"


def gap(share: Decimal | float) -> str:
    """Return a gap in percent, or as a factor if it is large, rounded up: only 0 reads as 0."""
    factor = 1 + Decimal(share)
    if factor > HUGE_FACTOR:
        return "more than a million times"
    if share >= LARGE_GAP:
        return f"up to {factor.to_integral_value(ROUND_CEILING):,} times"
    value = Decimal(share) * 100
    step = Decimal("0.1") if value >= 1 else Decimal("0.0001")
    rounded = value.quantize(step, ROUND_CEILING).normalize()
    return f"{rounded:f} %"


def size(count_bytes: int) -> str:
    """Return a number of bytes in binary units."""
    return _scaled(float(count_bytes), 1024, SIZE_UNITS)


def bandwidth(bytes_per_s: Decimal) -> str:
    """Return bytes per second in decimal units."""
    return _scaled(float(bytes_per_s), 1000, BANDWIDTH_UNITS)


def _scaled(value: float, base: int, units: tuple[str, ...]) -> str:
    exponent = 0
    while value >= base and exponent < len(units) - 1:
        value, exponent = value / base, exponent + 1
    return f"{value:.{1 if exponent else 0}f} {units[exponent]}"


def duration(seconds: float) -> str:
    """Return a duration; the longer it is, the fewer decimals."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def latency(seconds: float) -> str:
    """Return a latency in seconds or milliseconds, with three digits."""
    if seconds >= 100:
        return f"{seconds:.0f} s"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def brief(seconds: float) -> str:
    """Return a short time in seconds, milliseconds or microseconds, with three digits."""
    unit, scale = next((entry for entry in TIME_UNITS if seconds >= entry[1]), TIME_UNITS[-1])
    return f"{seconds / scale:.3g} {unit}"


def bit_rate(bytes_per_s: int) -> str:
    """Return bytes per second as bits per second, as network cards are rated."""
    bits_per_s = 8 * bytes_per_s
    unit, scale = next((entry for entry in BIT_UNITS if bits_per_s >= entry[1]), BIT_UNITS[-1])
    return f"{bits_per_s / scale:.3g} {unit}"


def times(ratio: float) -> str:
    """Return a ratio as a factor: `2.50x`."""
    return f"{ratio:.{2 if ratio < 10 else 0}f}x"


def count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless the number is 1."""
    ending = "es" if noun.endswith("ch") else "s"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{ending}"


def span(interval: Range) -> str:
    """Return a half-open interval."""
    return f"[{interval[0]}, {interval[1]})"


def indices(numbers: Iterable[int]) -> str:
    """Return device indices, runs of them as `first-last`."""
    runs = groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0])
    spans = [[number for _, number in run] for _, run in runs]
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in spans)


def devices(host_name: str, numbers: Iterable[int], cluster: Cluster) -> str:
    """Return some devices of a host by type, such as `4 x L4 (0-3)`."""
    found = cluster.host_by_name.get(host_name)
    types = dict(enumerate(found.devices if found else ()))
    named = sorted((types.get(number, "unknown"), number) for number in numbers)
    groups = [(name, [d for _, d in group]) for name, group in groupby(named, lambda pair: pair[0])]
    return " + ".join(f"{len(group)} x {name} ({_slots(found, group)})" for name, group in groups)


def _slots(host: Host | None, numbers: Sequence[int]) -> str:
    """Return device indices; for joined hosts, each with the machine that has it."""
    if host is None or not host.parts:
        return indices(numbers)
    slots = [host.slots[number] for number in numbers if number < len(host.slots)]
    runs = groupby(slots, key=lambda slot: slot[0])
    return ", ".join(f"{name}/{indices(index for _, index in run)}" for name, run in runs)


def host(name: str, cluster: Cluster) -> str:
    """Return the name of a host; for a joined host, the names of its machines."""
    found = cluster.host_by_name.get(name)
    return name if found is None else found.label


def types(model: Model) -> str:
    """Return the types in which a model runs: `float16, awq weights of 4.156 bits, fp8 KV`."""
    parts: list[str] = [model.dtype]
    parts += [model.weights.words] if model.weights else []
    parts += [f"{model.kv_dtype} KV"] if model.kv_dtype else []
    return ", ".join(parts)


def memory(stage: Stage) -> str:
    """Return how full the fullest device of a stage is, in percent of its budget."""
    if not stage.memory:
        return "unknown"
    fullest = min(stage.memory, key=lambda device: device.free_bytes)
    return percent(1 - Decimal(fullest.free_bytes) / max(fullest.budget_bytes, 1))


def sharing(stage: Stage) -> str:
    """Return how a stage shares its work, or where its KV is; empty for tensor parallelism."""
    if stage.kv_offload is not None:
        return f"KV from layer {stage.kv_offload.from_layer} on in host memory"
    if stage.parallel == "tp":
        return ""
    size = f"x{stage.tp}" if stage.sp_degree is None else degrees(stage.tp, stage.sp_degree)
    way = f"{stage.parallel} {size}"
    if stage.shift_tokens is None:
        return way
    return f"{way}, tp to {count(stage.shift_tokens, 'token')}"


def degrees(devices: int, sp_degree: int | None) -> str:
    """Return the degrees of devices that share their work: `8`, or `4x2` for SP 4 times TP 2."""
    return str(devices) if sp_degree is None else f"{sp_degree}x{devices // sp_degree}"


def shares(stage: Stage) -> str:
    """Return how KV heads or FFN channels are split; empty if all shards are alike."""
    heads = [shard.kv_heads[1] - shard.kv_heads[0] for shard in stage.shards]
    channels = [shard.ffn[1] - shard.ffn[0] for shard in stage.shards]
    if len(set(heads)) > 1:
        return "+".join(map(str, heads)) + " KV heads"
    if len(set(channels)) > 1:
        return "+".join(map(str, channels)) + " FFN channels"
    return ""


def constraint(term: CutTerm, stages: dict[str, Stage]) -> str:
    """Return a capacity of the cut in words: its size, and what more of it would bring."""
    kind, subject = term.constraint.partition(":")[0], in_words(term.constraint, stages)
    if kind not in ("stage", "link"):
        more = rate(term.price * 10**6)
        return f"{subject}: {bandwidth(term.capacity)} (1 MB/s more brings {more} tokens/s)"
    price = "" if term.price == 1 else f" (1 token/s more brings {term.price:.3g})"
    return f"{subject}: {rate(term.capacity)} tokens/s{price}"
