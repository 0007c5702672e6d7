"""The workload of a cluster.yaml, and the fields that each objective needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hexplan.reading.named_files import NamedFile
from hexplan.reading.traces import read_trace
from hexplan.workload import Lengths, Slo, Workload

if TYPE_CHECKING:
    from hexplan.model import Model
    from hexplan.reading.locate import Locator
    from hexplan.reading.text.cluster_text import ClusterText
    from hexplan.reading.text.workload_text import LengthsText, WorkloadText
    from hexplan.wording import KeyPath

NEEDS_RATE = ("latency", "cost")


def read_workload(text: WorkloadText, folder: Path, at: Locator) -> Workload:
    """Return the workload, its lengths read from a trace where the file names one."""
    if text.trace is not None:
        file = folder / text.trace
        NamedFile(file, "a trace", ("workload", "trace"), at).require_file()
        lengths = read_trace(file)
        prompt, output = lengths.prompt, lengths.output
    else:
        prompt = _lengths(text.prompt_tokens, "prompt_tokens", at)
        output = _lengths(text.output_tokens, "output_tokens", at)
    return Workload(
        prompt_tokens=prompt,
        output_tokens=output,
        request_rate_per_s=text.request_rate,
        slo=_slo(text),
        trace=text.trace,
    )


def check_context(workload: Workload, model: Model, at: Locator) -> None:
    """Refuse requests that are longer than the model's context."""
    if workload.max_tokens <= model.max_context:
        return
    prompt, output = workload.prompt_tokens.max, workload.output_tokens.max
    path: KeyPath = ("workload",) if workload.trace is None else ("workload", "trace")
    problem = (
        f"the longest request has {prompt} prompt + {output} output = {workload.max_tokens} tokens,"
        f" but {model.name} has a context of {model.max_context}"
    )
    hint = "shorten it, choose another model, or state `max_context` beside the model's name"
    if workload.trace is not None:
        hint = "leave its longest requests out, or choose a model with a longer context"
    elif model.path is not None:
        hint = "shorten it, or state rope scaling in the model's config.json"
    raise at.error(path, problem, hint=hint)


def check_objective(text: ClusterText, at: Locator) -> None:
    """Refuse an objective whose figures the file does not give."""
    objective, workload = text.objective, text.workload
    if objective in NEEDS_RATE and workload.request_rate is None:
        problem = f"found no `request_rate`, which the objective `{objective}` needs"
        raise at.error(("workload",), problem, hint="such as `request_rate: 5/s`")
    if objective == "slo" and workload.slo is None:
        problem = "found no `slo`, which the objective `slo` needs"
        hint = "such as `slo: {ttft: 2s, tpot: 100ms, attainment: 99%}`"
        raise at.error(("workload",), problem, hint=hint)
    if objective != "cost":
        return
    for index, host in enumerate(text.hosts):
        if host.price is None:
            problem = "found no `price`, which the objective `cost` needs of every host"
            hint = "such as `price: 12.3 USD/h`; `0 USD/h` for a host that you pay for anyway"
            raise at.error(("hosts", index), problem, hint=hint)


def _slo(text: WorkloadText) -> Slo | None:
    if text.slo is None:
        return None
    return Slo(ttft_s=text.slo.ttft, tpot_s=text.slo.tpot, attainment=text.slo.attainment)


def _lengths(text: int | LengthsText | None, field: str, at: Locator) -> Lengths:
    if text is None:
        raise at.error(("workload",), f"the field `{field}` is missing")
    if isinstance(text, int):
        return Lengths(mean=text, max=text)
    longest = text.max or text.mean
    if longest < text.mean:
        problem = f"found {longest}, needed at least the mean, {text.mean}"
        raise at.error(("workload", field, "max"), problem)
    return Lengths(mean=text.mean, max=longest)
