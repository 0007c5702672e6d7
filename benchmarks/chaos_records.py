"""What came of each kill: a line of JSON each, and the table that they make."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Final

END: Final = "end of a run"
"""Not a kill: the router was stopped, as its user does it."""
PATIENCE_S: Final = 240.0
LATE: Final = "and routes were not back in time"
OUTCOMES: Final = ("exact", "again", "error", "refused", "cut", "wrong")
HEAD: Final = (
    "kind | kills | streams | exact | exact when sent again | clear errors | cut off |"
    " wrong tokens | p50 | p99 | orphans | stray listeners | leaked"
)


@dataclass(frozen=True, slots=True)
class Record:
    """One kill, or the end of a run."""

    kind: str
    what: str
    """What was done."""
    place: str
    seed: int
    at: str
    load: float
    """Of the machine, by its own count."""
    recovered_s: float | None
    """Until every route was open again; None where the next kill came before."""
    is_double: bool
    """Whether the kill before it had not been mended yet."""
    streams: dict[str, int]
    """How those ended that did so until the next kill."""
    came_again: int
    orphans: int = 0
    listeners: int = 0
    leaked: int = 0
    """Files, sockets, and shared memory."""
    surplus: list[str] = field(default_factory=list)
    """What agents and ranks were there that should not be, each with its age, state and parent."""
    examples: list[str] = field(default_factory=list)
    """Of streams that did not end as they should."""


def append(file: Path, record: Record) -> None:
    """Write a record behind the others."""
    with file.open("a") as opened:
        opened.write(json.dumps(asdict(record)) + "\n")


def read_records(file: Path) -> list[Record]:
    """Return the records of a file."""
    return [Record(**json.loads(line)) for line in file.read_text().splitlines() if line]


def table(records: Sequence[Record]) -> str:
    """Return a row for each kind of kill, and one for all of them, in Markdown."""
    kinds = sorted({r.kind for r in records} - {END}, key=lambda kind: _first(records, kind))
    rows = [_row(kind, [r for r in records if r.kind == kind]) for kind in kinds]
    rows.append(_row("all", records))
    rule = " | ".join(["---"] * len(HEAD.split("|")))
    return "\n".join(f"| {line} |" for line in (HEAD, rule, *rows))


def facts(records: Sequence[Record]) -> str:
    """Return what the table has no column for."""
    kills = [r for r in records if r.kind != END]
    ended = _ended(records)
    right = ended["exact"] + ended["again"]
    loads = sorted(r.load for r in records) or [0.0]
    lines = [
        f"{len(kills)} kills, of which {sum(r.is_double for r in kills)} before the one before was"
        f" mended; {len(records) - len(kills)} runs",
        f"{100 * right / max(1, sum(ended.values())):.2f} % of {sum(ended.values())} streams ended"
        f" with the tokens of an undisturbed run;"
        f" {sum(r.came_again for r in records)} requests came again before they began",
        f"{sum(r.what.endswith(LATE) for r in records)} times routes were not back within"
        f" {PATIENCE_S:.0f} s",
        f"load of the machine: median {loads[len(loads) // 2]:.1f}, most {loads[-1]:.1f}",
    ]
    return "\n".join(lines)


def is_bad(records: Sequence[Record]) -> bool:
    """Say whether a token was wrong, or something was left behind."""
    return bool(_ended(records)["wrong"]) or any(
        r.orphans or r.listeners or r.leaked for r in records
    )


def _row(kind: str, records: Sequence[Record]) -> str:
    ended = _ended(records)
    times = [r.recovered_s for r in records if r.recovered_s is not None]
    cells = [
        kind,
        sum(r.kind != END for r in records),
        sum(ended.values()),
        ended["exact"],
        ended["again"],
        ended["error"] + ended["refused"],
        ended["cut"],
        ended["wrong"],
        f"{_quantile(times, 50):.1f} s" if times else "",
        f"{_quantile(times, 99):.1f} s" if times else "",
        sum(r.orphans for r in records),
        sum(r.listeners for r in records),
        sum(r.leaked for r in records),
    ]
    return " | ".join(map(str, cells))


def _ended(records: Sequence[Record]) -> dict[str, int]:
    return {name: sum(r.streams.get(name, 0) for r in records) for name in OUTCOMES}


def _first(records: Sequence[Record], kind: str) -> tuple[int, str]:
    order = ("SIGKILL a rank", "SIGSTOP", "partition", "kill an agent", "kill a host", "SIGKILL")
    return next((n for n, start in enumerate(order) if kind.startswith(start)), 9), kind


def _quantile(values: Sequence[float], percent: int) -> float:
    """Return a quantile; the largest value where there are few."""
    if len(values) < 2:
        return values[0]
    return quantiles(values, n=100, method="inclusive")[percent - 1]
