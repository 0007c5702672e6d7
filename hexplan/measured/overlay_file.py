"""Write what a probe measured as an overlay, which takes the place of a spec's figures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hexplan.cluster import Correction, Link
from hexplan.errors import InputError
from hexplan.files.bounded import write_atomically
from hexplan.files.yaml_reader import read_yaml
from hexplan.measured.comparison import Comparison

if TYPE_CHECKING:
    from hexplan.measured.calibration.calibrate import Calibration

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_WORDS: Final = frozenset(("true", "false", "null"))
_GIB: Final = 2**30
_BITS: Final = (("Gbps", 10**9), ("Mbps", 10**6), ("kbps", 10**3))
_TIMES: Final = (("s", 1.0), ("ms", 1e-3))


def check_target(path: Path, spec_file: Path | None, *, may_overwrite: bool) -> None:
    """Refuse to write an overlay where it would destroy anything but an older overlay.

    Raises
    ------
    InputError
        The path is the user's spec, or no file, or there is a file that must stay.
    """
    hint: str | None = None
    if path.name in ("", "-") or path.is_dir() or not path.parent.is_dir():
        problem = f"found {path}, needed a file in a folder that is there"
    elif spec_file and path.exists() and spec_file.exists() and path.samefile(spec_file):
        problem = f"found {path}, the spec itself, which stays as it is"
        hint = "write the measured figures beside it, and name them there with `overlays:`"
    elif not path.exists():
        return
    elif not _is_overlay(path):
        problem = f"found {path}, which is a file, but no overlay"
        hint = "`--force` overwrites overlays and nothing else: choose another name"
    elif not may_overwrite:
        problem = f"found {path}, where there is an overlay already"
        hint = "`--force` overwrites it"
    else:
        return
    message = f"--output: {problem}"
    raise InputError(message, hint=hint)


def _is_overlay(path: Path) -> bool:
    try:
        return "overlay" in read_yaml(path).data
    except InputError:
        return False


def write_overlay(comparison: Comparison, origin: str, path: Path) -> None:
    """Write what was measured; links without figures keep those of the spec.

    Parameters
    ----------
    origin
        What the file says about how it was made.
    """
    write_atomically(path, overlay_text(comparison, origin))


def overlay_text(comparison: Comparison, origin: str) -> str:
    """Return an overlay as `hexplan solve --overlay` reads it."""
    lines = ["version: 1", f"overlay: {json.dumps(origin, ensure_ascii=False)}"]
    for key, entries in (("links", [*_links(comparison)]), ("hosts", [*_hosts(comparison)])):
        if entries:
            lines += [f"{key}:", *entries]
    return "\n".join(lines) + "\n"


def write_corrections(calibration: Calibration, origin: str, path: Path) -> None:
    """Write the corrections that were found, and the links that are off."""
    write_atomically(path, corrections_text(calibration, origin))


def corrections_text(calibration: Calibration, origin: str) -> str:
    """Return an overlay with corrections as `hexplan solve --overlay` reads it."""
    lines = ["version: 1", f"overlay: {json.dumps(origin, ensure_ascii=False)}"]
    if calibration.groups:
        lines += ["corrections:"]
        lines += [line for g in calibration.groups for line in _correction(g.correction)]
    if calibration.links:
        lines += ["links:", *(_link(fit.link) for fit in calibration.links)]
    return "\n".join(lines) + "\n"


def _correction(found: Correction) -> Iterator[str]:
    """Yield a correction; what it leaves as it is stands there too, as a figure to edit."""
    yield f"  - device: {_name(found.device)}"
    yield f"    tp: {found.tp}"
    yield f"    prefill: {found.prefill:f}"
    yield f"    decode: {found.decode:f}"
    if found.layer_step_s:
        yield f"    layer_step: {_time(float(found.layer_step_s))}"
    yield f"    error: {found.error:f}"
    yield f"    source: {json.dumps(found.source, ensure_ascii=False)}"


def _link(link: Link) -> str:
    figures = f"{_bandwidth(link.bandwidth_bytes_per_s)}, latency: {_time(float(link.latency_s))}"
    ends = f"from: {_name(link.source)}, to: {_name(link.target)}"
    return f"  - {{{ends}, bandwidth: {figures}}}"


def _links(comparison: Comparison) -> Iterator[str]:
    for link in (compared.found for compared in comparison.links):
        if link.latency_s is not None and link.bandwidth_bytes_per_s is not None:
            figures = f"{_bandwidth(link.bandwidth_bytes_per_s)}, latency: {_time(link.latency_s)}"
            ends = f"from: {_name(link.source)}, to: {_name(link.target)}"
            yield f"  - {{{ends}, bandwidth: {figures}}}"


def _hosts(comparison: Comparison) -> Iterator[str]:
    for host in comparison.hosts:
        if host.in_use_bytes is not None:
            amounts = ", ".join(map(_gib, host.in_use_bytes))
            yield f"  - {{name: {_name(host.found.host)}, in_use: [{amounts}]}}"


def _name(name: str) -> str:
    """Return a name as YAML reads it back, in quotes where it could be something else."""
    return name if _PLAIN.fullmatch(name) and name.lower() not in _WORDS else json.dumps(name)


def _bandwidth(bytes_per_s: int) -> str:
    bits_per_s = 8 * bytes_per_s
    unit, scale = next((entry for entry in _BITS if bits_per_s >= entry[1]), _BITS[-1])
    return f"{bits_per_s / scale:.4g}{unit}"


def _time(seconds: float) -> str:
    unit, scale = next((entry for entry in _TIMES if seconds >= entry[1]), _TIMES[-1])
    return f"{seconds / scale:.4g}{unit}"


def _gib(num_bytes: int) -> str:
    """Return an amount of memory, rounded down to thousandths: it never exceeds the device's."""
    amount = (Decimal(num_bytes) / _GIB).quantize(Decimal("0.001"), ROUND_FLOOR)
    return f"{amount.normalize():f}GiB"
