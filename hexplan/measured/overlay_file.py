"""Write measured figures as an overlay, which takes the place of a spec's figures."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hexplan.cluster import Correction
from hexplan.errors import InputError
from hexplan.files.bounded import write_atomically
from hexplan.files.writable import require_writable
from hexplan.files.yaml_reader import read_yaml
from hexplan.files.yaml_writer import Row, yaml_text
from hexplan.measured.comparison import Comparison
from hexplan.units import GIB

if TYPE_CHECKING:
    from hexplan.measured.calibration.calibrate import Calibration

_BITS: Final = (("Gbps", 10**9), ("Mbps", 10**6), ("kbps", 10**3))
_TIMES: Final = (("s", 1.0), ("ms", 1e-3))
_MEMORY_STEP_GIB: Final = Decimal("0.001")


def check_target(path: Path, spec_file: Path | None, *, may_overwrite: bool) -> None:
    """Refuse to write an overlay where it would destroy anything but an older overlay.

    Raises
    ------
    InputError
        The path is the user's spec, or cannot be written, or names a file that must stay.
    """
    require_writable("--output", path)
    if spec_file and path.exists() and spec_file.exists() and path.samefile(spec_file):
        problem = f"found {path}, which is the spec, and probe never changes a spec"
        hint = "write the measured figures to another file, and name it in the spec: `overlays:`"
    elif not path.exists():
        return
    elif not _is_overlay(path):
        problem = f"found {path}, which is a file, but no overlay"
        hint = "`--force` overwrites overlays and nothing else: choose another name"
    elif not may_overwrite:
        problem = f"found {path}, which is an overlay already"
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
    links, hosts = [*_measured_links(comparison)], [*_hosts(comparison)]
    return _overlay_text(origin, {"links": links, "hosts": hosts})


def write_corrections(calibration: Calibration, origin: str, path: Path) -> None:
    """Write the corrections that were found, and the links whose figures are off."""
    write_atomically(path, corrections_text(calibration, origin))


def corrections_text(calibration: Calibration, origin: str) -> str:
    """Return an overlay with corrections as `hexplan solve --overlay` reads it."""
    corrections = [_correction(group.correction) for group in calibration.groups]
    return _overlay_text(
        origin, {"corrections": corrections, "links": [*_fitted_links(calibration)]}
    )


def _overlay_text(origin: str, sections: dict[str, list[dict[str, object]]]) -> str:
    """Return an overlay with those sections that hold anything."""
    filled = {name: entries for name, entries in sections.items() if entries}
    return yaml_text({"version": 1, "overlay": origin, **filled})


def _correction(found: Correction) -> dict[str, object]:
    """Return a correction; factors of 1 are written out, too, so that people can edit them."""
    step = {"layer_step": _time(float(found.layer_step_s))} if found.layer_step_s else {}
    return {
        "device": found.device,
        "tp": found.tp,
        "prefill": found.prefill,
        "decode": found.decode,
        **step,
        "error": found.error,
        "source": found.source,
    }


def _measured_links(comparison: Comparison) -> Iterator[dict[str, object]]:
    for link in (compared.found for compared in comparison.links):
        if link.latency_s is not None and link.bandwidth_bytes_per_s is not None:
            ends = link.source, link.target
            yield _link(*ends, link.bandwidth_bytes_per_s, link.latency_s)


def _fitted_links(calibration: Calibration) -> Iterator[dict[str, object]]:
    for link in (fit.link for fit in calibration.links):
        yield _link(link.source, link.target, link.bandwidth_bytes_per_s, float(link.latency_s))


def _link(source: str, target: str, bytes_per_s: int, latency_s: float) -> dict[str, object]:
    figures = {"bandwidth": _bandwidth(bytes_per_s), "latency": _time(latency_s)}
    return Row({"from": source, "to": target, **figures})


def _hosts(comparison: Comparison) -> Iterator[dict[str, object]]:
    for host in comparison.hosts:
        if host.in_use_bytes is not None:
            amounts = [_gib(num_bytes) for num_bytes in host.in_use_bytes]
            yield Row({"name": host.found.host, "in_use": amounts})


def _bandwidth(bytes_per_s: int) -> str:
    bits_per_s = 8 * bytes_per_s
    unit, scale = next((entry for entry in _BITS if bits_per_s >= entry[1]), _BITS[-1])
    return f"{bits_per_s / scale:.4g}{unit}"


def _time(seconds: float) -> str:
    unit, scale = next((entry for entry in _TIMES if seconds >= entry[1]), _TIMES[-1])
    return f"{seconds / scale:.4g}{unit}"


def _gib(num_bytes: int) -> str:
    """Return an amount of memory, rounded down so that it never exceeds the device's."""
    amount = (Decimal(num_bytes) / GIB).quantize(_MEMORY_STEP_GIB, ROUND_FLOOR)
    return f"{amount.normalize():f}GiB"
