"""The README of an export: what runs where, in which order, and how to see that it is up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version

from hexplan.engines.compressed import uncompressed_note
from hexplan.export.deployment import Deployment, Server
from hexplan.export.folder import File

README = "README.md"


def readme(deployment: Deployment, title: str, sections: Sequence[str]) -> File:
    """Return a README that says first what was exported, and then what to do with it."""
    head = [f"# {title}", "", *_summary(deployment), "", *_replicas(deployment)]
    body = "\n\n".join(["\n".join(head), *sections])
    return File(README, body + "\n")


def code(*lines: str) -> str:
    """Return lines as a block of code."""
    return "\n".join(["```console", *lines, "```"])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; what stands in its cells cannot end them."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("`", "'")


def _summary(deployment: Deployment) -> list[str]:
    plan, whole = deployment.plan, deployment.whole
    engine = deployment.engine
    number = len(deployment.servers)
    replicas = "1 replica" if number == 1 else f"{number} replicas"
    lines = [
        f"Written by hexplan {version('hexplan')} for {engine.title} {engine.version}:"
        f" {_cell(plan.model.name)} on {_cell(plan.cluster.name)}, {replicas}."
    ]
    if whole.is_decomposed:
        lines.append(
            f"The plan passes {whole.planned_tokens_per_s:,.1f} tokens/s over stages that routes"
            f" share. These replicas share none, and pass {whole.tokens_per_s:,.1f}:"
            f" {whole.loss:.1%} less."
        )
    else:
        lines.append(f"The plan passes {whole.tokens_per_s:,.1f} tokens/s.")
    note = uncompressed_note(plan, engine.title)
    if note is not None:
        lines.append(f"{note}.")
    longest = f"{deployment.longest_tokens:,}"
    lines.append(f"The longest request that it has room for is {longest} tokens with its output.")
    return lines


def _replicas(deployment: Deployment) -> list[str]:
    rows = [row for server in deployment.servers for row in _rows(server)]
    header = ("replica", "share", "stage", "layers", "host", "devices")
    return [table(header, rows)]


def _rows(server: Server) -> Iterable[Sequence[str]]:
    for index, placed in enumerate(server.replica.stages):
        first, end = placed.stage.layers
        machines = dict.fromkeys(rank.machine for rank in placed.ranks)
        devices = "; ".join(
            ", ".join(str(rank.device) for rank in placed.ranks if rank.machine == name)
            for name in machines
        )
        yield (
            server.name if index == 0 else "",
            f"{float(server.share):.2%}" if index == 0 else "",
            placed.stage.id,
            f"{first} to {end - 1}",
            " + ".join(machines),
            devices,
        )
