"""Show a probe's findings to people: the verdict first, then links and hosts, worst first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from hexplan.catalog.driver_names import catalog_name
from hexplan.measured.comparison import (
    THRESHOLDS,
    Comparison,
    HostComparison,
    LinkComparison,
)
from hexplan.measured.findings import Findings, Inventory, LinkFinding
from hexplan.render import words
from hexplan.render.console import open_console, say
from hexplan.render.sections import Part, Section, fits, sections_text, table

if TYPE_CHECKING:
    from hexplan_runtime.probe import LinkListener

MAX_LINKS = 40
"""How many links as good as the spec's are listed; worse links are all listed."""
MAX_ENDS = 4
"""How many links are named that share one problem."""
_HEADINGS = ("link", "latency", "spec", "ratio", "bandwidth", "spec", "ratio")


@contextmanager
def probe_progress(*, quiet: bool) -> Iterator[LinkListener]:
    """Yield a function that shows a probe's progress: a bar on a terminal, else lines."""
    console = open_console(stderr=True)
    if quiet:
        yield lambda link, done, total: None
    elif console.is_terminal and not console.is_dumb_terminal:
        said = TextColumn("{task.description}", markup=False)  # the text comes from other hosts
        columns = BarColumn(), MofNCompleteColumn(), said
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("starting an agent on each host")
            yield lambda link, done, total: progress.update(
                task, completed=done, total=total, description=words.printable(_news(link))
            )
    else:
        yield lambda link, done, total: say(f"{done} of {total}: {_news(link)}")


def probe_text(comparison: Comparison) -> str:
    """Return the findings as `probe` prints them on stdout."""
    return sections_text(_sections(comparison))


def probe_json(comparison: Comparison) -> str:
    """Return the findings as JSON."""
    return comparison.model_dump_json(indent=2) + "\n"


def _sections(comparison: Comparison) -> Iterator[Section]:
    yield Section("", _headline(comparison))
    if comparison.links:
        yield Section("Links", _links(comparison))
    yield Section("Hosts", _hosts(comparison))


def _headline(comparison: Comparison) -> Iterator[Part]:
    findings = comparison.findings
    lost, different = comparison.unreachable, comparison.different
    hosts = f"{words.count(len(findings.hosts), 'host')}, {lost.hosts or 'none'} unreachable"
    yield f"{comparison.cluster}: {hosts}, {different.hosts or 'none'} unlike the spec"
    links = f"{findings.num_measured} of {words.count(findings.num_links, 'link')} measured"
    worse = f"{different.links or 'none'} worse than the spec (*)"
    yield f"{links}: {worse}, {lost.links or 'none'} unreachable"
    if findings.is_one_machine:
        yield "No host has an address: all figures are those of this machine's own loopback"


def _links(comparison: Comparison) -> Iterator[Part]:
    measured = [link for link in comparison.links if link.found.problem is None]
    worse = sorted((link for link in measured if link.is_worse), key=_share)
    others = [link for link in measured if not link.is_worse]
    yield from _unreachable(comparison.findings)
    if measured:
        yield from _figures([*worse, *others[:MAX_LINKS]])
        if len(others) > MAX_LINKS:
            yield f"and {len(others) - MAX_LINKS} more that are no worse; `--json` lists them all"
        widest = max(measured, key=lambda link: link.found.latency_spread or 0.0).found
        spread = words.percent(widest.latency_spread or 0.0)
        yield f"the middle half of round trips spreads by at most {spread} ({_ends(widest)})"
    if worse:
        yield (
            f"* worse: less than {words.percent(THRESHOLDS.slow_share)} of the spec's bandwidth;"
            f" or more than {THRESHOLDS.late_factor:g} times its latency, and"
            f" {words.brief(THRESHOLDS.late_s)} over it"
        )


def _unreachable(findings: Findings) -> Iterator[Part]:
    """Yield each problem once, with the links that could not be measured because of it."""
    problems = dict.fromkeys(link.problem for link in findings.links if link.problem is not None)
    for problem in problems:
        ends = [_ends(link) for link in findings.links if link.problem == problem]
        more = f" and {len(ends) - MAX_ENDS} more" if len(ends) > MAX_ENDS else ""
        yield f"{', '.join(ends[:MAX_ENDS])}{more}: unreachable ({problem})"


def _figures(links: Sequence[LinkComparison]) -> Iterator[Part]:
    whole = table(_HEADINGS, map(_row, links), len(_HEADINGS) - 1)
    if fits(whole, open_console(stderr=False)):
        yield whole
    else:
        yield from (line for link in links for line in _lines(link))


def _share(link: LinkComparison) -> float:
    """Return how good a link is: the worse of its two ratios."""
    late = 1 / link.latency_ratio if link.latency_ratio else 1.0
    return min(late, 1.0 if link.bandwidth_ratio is None else link.bandwidth_ratio)


def _row(link: LinkComparison) -> tuple[str, ...]:
    late, carried = link.found.latency_s, link.found.bandwidth_bytes_per_s
    factor = "" if link.latency_ratio is None else words.times(link.latency_ratio)
    share = "" if link.bandwidth_ratio is None else words.percent(link.bandwidth_ratio)
    return (
        _ends(link.found),
        "" if late is None else words.brief(late),
        words.brief(link.spec_latency_s),
        factor + "*" * link.is_late,
        "" if carried is None else words.bit_rate(carried),
        words.bit_rate(link.spec_bandwidth_bytes_per_s),
        share + "*" * link.is_slow,
    )


def _lines(link: LinkComparison) -> Iterator[str]:
    """Yield one link as lines, for a narrow console."""
    ends, late, spec_late, factor, carried, spec_carried, share = _row(link)
    yield ends
    yield f"  latency {late}, spec {spec_late} ({factor or 'no ratio'})"
    yield f"  bandwidth {carried}, spec {spec_carried} ({share})"


def _hosts(comparison: Comparison) -> Iterator[Part]:
    findings = comparison.findings
    machines = [host.machine for host in findings.hosts if host.machine is not None]
    if findings.is_one_machine and machines:
        yield f"this machine: {_machine(machines[0])}"
    for host in comparison.hosts:
        is_shown = findings.is_one_machine and host.found.machine is not None
        if not is_shown or host.found.problem is not None:
            yield f"{host.found.host}: {_found(host)}"
        yield from (f"{host.found.host}, unlike the spec: {text}" for text in host.differences)


def _found(host: HostComparison) -> str:
    machine, problem = host.found.machine, host.found.problem
    if machine is None:
        return f"unreachable ({problem})" if problem else "not tried"
    return _machine(machine) + (f"; lost: {problem}" if problem else "")


def _machine(machine: Inventory) -> str:
    used = machine.memory_bytes - machine.free_bytes
    memory = f"{words.size(used)} of {words.size(machine.memory_bytes)} in use"
    cores = f"{words.count(machine.cores, 'core')} ({machine.processor}), {memory}"
    versions = f"Python {machine.python}, torch {machine.torch}"
    return "; ".join((*_devices(machine), cores, versions))


def _devices(machine: Inventory) -> Iterator[str]:
    """Yield the accelerators by type, with the memory in use on each."""
    names = [catalog_name(device.name) or device.name for device in machine.accelerators]
    for name in dict.fromkeys(names):
        alike = [d for d, other in zip(machine.accelerators, names, strict=True) if other == name]
        used = " + ".join(words.size(d.memory_bytes - d.free_bytes) for d in alike)
        yield f"{len(alike)} x {name}, {used} in use"


def _news(link: LinkFinding) -> str:
    if link.latency_s is None or link.bandwidth_bytes_per_s is None:
        return f"{_ends(link)}: unreachable ({link.problem})"
    carried = words.bit_rate(link.bandwidth_bytes_per_s)
    return f"{_ends(link)}: {words.brief(link.latency_s)}, {carried}"


def _ends(link: LinkFinding) -> str:
    return f"{link.source} > {link.target}"
