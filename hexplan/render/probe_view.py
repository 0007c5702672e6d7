"""What a probe found, for people: the verdict first, then links and hosts, worst first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from hexplan.catalog.driver_names import catalog_name
from hexplan.measured.comparison import (
    LATE_FACTOR,
    LATE_S,
    SLOW_SHARE,
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
"""Links that are listed one by one, if they are as the spec has them; worse ones all are."""
MAX_ENDS = 4
"""Links that are named where one problem keeps several from being measured."""
_BITS = (("Tbps", 1e12), ("Gbps", 1e9), ("Mbps", 1e6), ("kbps", 1e3))
_TIMES = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))
_HEADINGS = ("link", "latency", "spec", "ratio", "bandwidth", "spec", "ratio")


@contextmanager
def probe_progress(*, quiet: bool) -> Iterator[LinkListener]:
    """Give a function that shows where a probe stands: a bar on a terminal, else lines."""
    console = open_console(stderr=True)
    if quiet:
        yield lambda link, done, total: None
    elif console.is_terminal and not console.is_dumb_terminal:
        said = TextColumn("{task.description}", markup=False)  # hosts have a say in it
        columns = BarColumn(), MofNCompleteColumn(), said
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("starting an agent on each host")
            yield lambda link, done, total: progress.update(
                task, completed=done, total=total, description=words.printable(_news(link))
            )
    else:
        yield lambda link, done, total: say(f"{done} of {total}: {_news(link)}")


def probe_text(comparison: Comparison) -> str:
    """Return what was found as it should be printed on stdout."""
    return sections_text(_sections(comparison))


def probe_json(comparison: Comparison) -> str:
    """Return what was found as JSON."""
    return comparison.model_dump_json(indent=2) + "\n"


def _sections(comparison: Comparison) -> Iterator[Section]:
    yield "", _headline(comparison)
    if comparison.links:
        yield "Links", _links(comparison)
    yield "Hosts", _hosts(comparison)


def _headline(comparison: Comparison) -> Iterator[Part]:
    findings, (lost_hosts, lost_links) = comparison.findings, comparison.num_unreachable
    different, worse = comparison.num_different
    hosts = f"{words.count(len(findings.hosts), 'host')}, {lost_hosts or 'none'} unreachable"
    yield f"{comparison.cluster}: {hosts}, {different or 'none'} unlike the spec"
    links = f"{findings.num_measured} of {words.count(findings.num_links, 'link')} measured"
    yield f"{links}: {worse or 'none'} worse than the spec (*), {lost_links or 'none'} unreachable"
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
            yield f"and {len(others) - MAX_LINKS} more that are no worse; `--json` lists them"
        widest = max(measured, key=lambda link: link.found.latency_spread or 0.0).found
        spread = words.percent(widest.latency_spread or 0.0)
        yield f"the middle half of round trips spreads by at most {spread} ({_ends(widest)})"
    if worse:
        yield (
            f"* worse: less than {words.percent(SLOW_SHARE)} of the spec's bandwidth; or more than"
            f" {LATE_FACTOR:g} times its latency, and {_time(LATE_S)} over it"
        )


def _unreachable(findings: Findings) -> Iterator[Part]:
    """Yield each problem once, with the links that it keeps from being measured."""
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
    factor = "" if link.latency_ratio is None else _factor(link.latency_ratio)
    share = "" if link.bandwidth_ratio is None else words.percent(link.bandwidth_ratio)
    return (
        _ends(link.found),
        "" if late is None else _time(late),
        _time(link.spec_latency_s),
        factor + "*" * link.is_late,
        "" if carried is None else _bandwidth(carried),
        _bandwidth(link.spec_bandwidth_bytes_per_s),
        share + "*" * link.is_slow,
    )


def _lines(link: LinkComparison) -> Iterator[str]:
    """Yield one link in words, for a narrow console."""
    ends, late, spec_late, factor, carried, spec_carried, share = _row(link)
    yield ends
    yield f"  latency {late}, spec {spec_late} ({factor or 'no ratio'})"
    yield f"  bandwidth {carried}, spec {spec_carried} ({share})"


def _factor(ratio: float) -> str:
    return f"{ratio:.{2 if ratio < 10 else 0}f}x"


def _hosts(comparison: Comparison) -> Iterator[Part]:
    findings = comparison.findings
    machines = [host.machine for host in findings.hosts if host.machine is not None]
    if findings.is_one_machine and machines:
        yield f"this machine: {_machine(machines[0])}"
    for host in comparison.hosts:
        is_told = findings.is_one_machine and host.found.machine is not None
        if not is_told or host.found.problem is not None:
            yield f"{host.found.host}: {_found(host)}"
        yield from (f"{host.found.host}, unlike the spec: {text}" for text in host.differences)


def _found(host: HostComparison) -> str:
    machine, problem = host.found.machine, host.found.problem
    if machine is None:
        return f"unreachable ({problem})" if problem else "not looked at"
    return _machine(machine) + (f"; lost: {problem}" if problem else "")


def _machine(machine: Inventory) -> str:
    used = machine.memory_bytes - machine.free_bytes
    memory = f"{words.size(used)} of {words.size(machine.memory_bytes)} in use"
    cores = f"{words.count(machine.cores, 'core')} ({machine.processor}), {memory}"
    versions = f"Python {machine.python}, torch {machine.torch}"
    return "; ".join((*_devices(machine), cores, versions))


def _devices(machine: Inventory) -> Iterator[str]:
    """Yield the accelerators by type, with the memory that others take of each."""
    names = [catalog_name(device.name) or device.name for device in machine.accelerators]
    for name in dict.fromkeys(names):
        alike = [d for d, other in zip(machine.accelerators, names, strict=True) if other == name]
        used = " + ".join(words.size(d.memory_bytes - d.free_bytes) for d in alike)
        yield f"{len(alike)} x {name}, {used} in use"


def _news(link: LinkFinding) -> str:
    if link.latency_s is None or link.bandwidth_bytes_per_s is None:
        return f"{_ends(link)}: unreachable ({link.problem})"
    return f"{_ends(link)}: {_time(link.latency_s)}, {_bandwidth(link.bandwidth_bytes_per_s)}"


def _ends(link: LinkFinding) -> str:
    return f"{link.source} > {link.target}"


def _bandwidth(bytes_per_s: int) -> str:
    bits_per_s = 8 * bytes_per_s
    unit, scale = next((entry for entry in _BITS if bits_per_s >= entry[1]), _BITS[-1])
    return f"{bits_per_s / scale:.3g} {unit}"


def _time(seconds: float) -> str:
    unit, scale = next((entry for entry in _TIMES if seconds >= entry[1]), _TIMES[-1])
    return f"{seconds / scale:.3g} {unit}"
