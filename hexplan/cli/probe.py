"""The `probe` command: find what each host has, and what the links between them carry."""

from __future__ import annotations

import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hexplan.cli.across.options import ssh_words
from hexplan.cli.exit_codes import DIFFERENCES, INTERRUPTED
from hexplan.cli.inputs import Overlays, seconds, source
from hexplan.cli.interrupts import stop_on_interrupt
from hexplan.cli.output import emit
from hexplan.errors import InputError, LaunchError

if TYPE_CHECKING:
    from hexplan.cluster import Cluster
    from hexplan.measured.comparison import Comparison
    from hexplan_runtime.probe import HostAddress, ProbeJob, Reach

LIMIT = "20s"
MAX_LOCAL_HOSTS = 16
"""Each host without an address is a process on this machine."""
REACH_HINT = (
    "the table says why; `ssh -o BatchMode=yes ADDRESS true` must work for each host, `--python`"
    " must name a Python with hexplan[runtime], and hosts must reach each other on every port"
)


def probe(
    spec_file: Annotated[Path, typer.Argument(metavar="SPEC", help="A cluster.yaml.")],
    overlay: Overlays = None,
    bind: Annotated[
        str | None, typer.Option(help="An address of this machine that every host can reach.")
    ] = None,
    ssh: Annotated[
        str | None,
        typer.Option(help="The program that runs commands on a host, such as `ssh -p 2222`."),
    ] = None,
    python: Annotated[
        str, typer.Option(help="The Python on the hosts that has hexplan.")
    ] = "python3",
    allow_public: Annotated[
        bool, typer.Option("--allow-public", help="Let hosts listen on public addresses.")
    ] = False,
    timeout: Annotated[
        str, typer.Option(help="Give up on a pair of hosts after this time.")
    ] = LIMIT,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the figures here, as an overlay.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an older overlay.")] = False,
    exit_code: Annotated[
        bool,
        typer.Option("--exit-code", help="Exit with 5 if anything is worse than the spec says."),
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the findings as JSON on stdout.")
    ] = False,
) -> None:
    """Measure latency and bandwidth between hosts, and compare them with the spec.

    Runs an agent on each host over ssh. The coordinator is this machine, and so are hosts without
    an `address`. Measures one pair after the other, through the transport that `launch` uses.
    Ctrl-C keeps what is measured so far. Exits with 7 if a host or a pair could not be reached.
    """
    _require_runtime()
    from hexplan.measured.comparison import compare
    from hexplan.measured.overlay_file import check_target, write_overlay
    from hexplan.reading import read_spec
    from hexplan.render import probe_json, probe_progress, probe_text, say
    from hexplan_runtime.probe import SSH, Reach, survey

    cluster = read_spec(source(spec_file), overlay or ()).cluster
    if output is not None:
        check_target(output, spec_file, may_overwrite=force)
    reach = Reach(ssh_words(ssh) or SSH, python, allow_public)
    limit_s = seconds("--timeout", timeout)
    assert limit_s is not None
    job = _job(cluster, spec_file, bind, reach, limit_s)
    with stop_on_interrupt() as stop, probe_progress(quiet=quiet) as hear:
        comparison = compare(cluster, survey(job, hear, stop))
    is_written = output is not None and comparison.findings.num_measured > 0
    if output is not None and is_written:
        write_overlay(comparison, _origin(comparison, spec_file), output)
    emit(probe_json(comparison) if as_json else probe_text(comparison))
    if output is not None and not is_written:
        say(f"nothing was measured, so {output} is not written")
    elif output is not None and not quiet:
        say(f"wrote {output}: `hexplan solve {spec_file} --overlay {output}` plans with it")
    _judge(comparison, exit_code=exit_code)


def _require_runtime() -> None:
    """Refuse to probe without the runtime's packages."""
    if find_spec("torch") is None:
        message = "`torch` is not installed, and probing needs it"
        raise InputError(message, hint='`pip install "hexplan[runtime]"`')


def _job(
    cluster: Cluster, spec_file: Path, bind: str | None, reach: Reach, limit_s: float
) -> ProbeJob:
    """Return what to probe: hosts that are not excluded, and the links between them."""
    from hexplan.cluster import COORDINATOR
    from hexplan_runtime.probe import ProbeJob

    hosts = _hosts(cluster, spec_file)
    ends = (COORDINATOR, *(place.host for place in hosts))
    links = tuple((a, b) for a in ends for b in ends if a != b and cluster.link(a, b) is not None)
    is_one_machine = all(place.address is None for place in hosts)
    return ProbeJob(hosts, links, _meeting_place(bind, reach, is_one_machine), reach, limit_s)


def _hosts(cluster: Cluster, spec_file: Path) -> tuple[HostAddress, ...]:
    """Return where the hosts are: all on this machine, or each at its address."""
    from hexplan_runtime.probe import HostAddress

    hosts = tuple(
        HostAddress(host.name, host.address)
        for host in cluster.hosts
        if not all(cluster.is_excluded(host.name, index) for index in range(len(host.devices)))
    )
    here = [place.host for place in hosts if place.address is None]
    if 0 < len(here) < len(hosts):
        message = (
            f"{spec_file}: found hosts with an `address`, and others without: {', '.join(here)}"
        )
        hint = "give every host an `address`; or give none one, and this machine plays them all"
        raise InputError(message, hint=hint)
    if len(here) > MAX_LOCAL_HOSTS:
        message = (
            f"{spec_file}: found {len(here)} hosts without an `address`, needed at"
            f" most {MAX_LOCAL_HOSTS}, because this machine plays them all"
        )
        raise InputError(message, hint="give each host its `address`")
    return hosts


def _meeting_place(bind: str | None, reach: Reach, is_one_machine: bool) -> str:
    """Return the address of this machine that the hosts connect to."""
    from hexplan_runtime.probe import LOOPBACK, local_address

    if is_one_machine and bind is not None:
        message = (
            f"--bind: found {bind}, but no host has an `address`: all traffic stays on {LOOPBACK}"
        )
        raise InputError(message, hint="leave it out, or give each host its `address`")
    if is_one_machine:
        return LOOPBACK
    if bind is None:
        message = "--bind: found none, needed it because the hosts have addresses"
        hint = "give an address of this machine that every host can reach: `--bind ADDRESS`"
        raise InputError(message, hint=hint)
    try:
        return local_address(bind, may_be_public=reach.may_be_public)
    except InputError as error:
        message = f"--bind: {error.message}"
        raise InputError(message, hint=error.hint) from error


def _origin(comparison: Comparison, spec_file: Path) -> str:
    """Return what an overlay says about how it was made."""
    from hexplan.render import words

    findings = comparison.findings
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    origin = f"probe of {words.printable(spec_file.name)}, {day}"
    if findings.is_one_machine:
        origin += ", all on one machine"
    if not findings.is_complete:
        origin += f", stopped after {len(findings.links)} of {findings.num_links} links"
    return origin


def _judge(comparison: Comparison, *, exit_code: bool) -> None:
    """Exit with the code for an interrupt, an unreachable host or link, or a difference."""
    from hexplan.render import say, words

    findings = comparison.findings
    if not findings.is_complete:
        say(f"stopped: {len(findings.links)} of {findings.num_links} links were tried")
        raise typer.Exit(INTERRUPTED)
    lost = comparison.unreachable
    if lost:
        counts = (
            (lost.hosts, len(findings.hosts), "host"),
            (lost.links, findings.num_links, "link"),
        )
        what = [
            f"{number} of {words.count(total, noun)}" for number, total, noun in counts if number
        ]
        message = f"{' and '.join(what)} could not be reached"
        raise LaunchError(message, hint=REACH_HINT)
    if exit_code and comparison.different:
        raise typer.Exit(DIFFERENCES)
