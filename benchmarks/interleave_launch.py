"""Interleaving in a real launch: two ranks of one stage, whose link is emulated.

    python benchmarks/interleave_launch.py [TASK] [--link LINK] [--profile FILE] [--keep FILE]
    python benchmarks/interleave_launch.py --keep FILE --show

The link makes whoever waits for it sleep (`hexplan_runtime.net.emulated_link`), so that two ranks
compute on two cores meanwhile. The edge of the pipeline between two stages is not slowed down,
which favours pp: a prompt's activations would take 11 ms over this link.

`auto` is the planner's own choice for each rate. It rests on what `hexplan profile` measures of the
cores and of their sums over the link, which takes minutes; `--profile` names what was measured
before.

A round serves the same arrivals in every way. `--keep` adds it to a file, from which `--show`
prints the median of all rounds: so a machine that others wait for can be used in turns.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from math import inf
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from interleave_rounds import (
    LINK,
    LOADS,
    PROMPT,
    REQUESTS,
    TASKS,
    WAYS,
    Served,
    play_round,
    profiled,
    written,
)
from planner import machine


def tables(rounds: Sequence[Served]) -> str:
    """Return what was measured in Markdown, medians of all rounds."""
    return "\n\n".join(
        _table([one for one in rounds if (one.task, one.link) == kind])
        for kind in dict.fromkeys((one.task, one.link) for one in rounds)
    )


def _table(rounds: Sequence[Served]) -> str:
    task, link = rounds[0].task, rounds[0].link

    def middle(way: str, load: float) -> tuple[float, float, float]:
        chosen = [one for one in rounds if (one.way, one.load) == (way, load)]
        columns = zip(*((one.mean_s, one.p90_s, one.per_s) for one in chosen), strict=True)
        mean_s, p90_s, per_s = map(median, columns)
        return mean_s, p90_s, per_s

    most = ", ".join(f"{way} {middle(way, inf)[2]:.1f}" for way in WAYS[:-1])
    count = sum((one.way, one.load) == ("tp", inf) for one in rounds)
    counted = "1 round" if count == 1 else f"{count} rounds"
    lines = [
        f"#### {task}, {PROMPT} + {TASKS[task]} tokens, link {link}\n",
        f"Medians of {counted} of {REQUESTS} requests. All at once: {most} requests/s.\n",
        "Each cell: tp / pp / interleaved / auto.\n",
        "| load | requests/s | mean ms | P90 ms | served/s | interleaved over tp | over pp"
        " | auto over tp | over pp | devices a stage that auto takes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for load in LOADS:
        rate = next(one.rate for one in rounds if one.load == load)
        found = [middle(way, load) for way in WAYS]
        tensor_s, pipeline_s, lanes_s, auto_s = (mean_s for mean_s, _, _ in found)
        ratios = (lanes_s / tensor_s, lanes_s / pipeline_s, auto_s / tensor_s, auto_s / pipeline_s)
        taken = {one.stages for one in rounds if (one.way, one.load) == ("auto", load)}
        means = " / ".join(f"{1000 * mean_s:.0f}" for mean_s, _, _ in found)
        tails = " / ".join(f"{1000 * p90_s:.0f}" for _, p90_s, _ in found)
        served = " / ".join(f"{per_s:.1f}" for _, _, per_s in found)
        lines.append(
            f"| {load} | {rate:.1f} | {means} | {tails} | {served}"
            f" | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} | {' or '.join(sorted(taken))} |"
        )
    return "\n".join(lines)


def read_rounds(file: Path) -> list[Served]:
    """Return the rounds that were kept."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [Served(**json.loads(line)) for line in lines]


def launched_section() -> str:
    """Play a round of each task, and return the tables in Markdown."""
    with TemporaryDirectory() as name:
        profile = profiled(written(Path(name)), LINK)
        return tables([one for task in TASKS for one in play_round(task, LINK, profile)])


def main() -> None:
    """Play one round of a task, or show all rounds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("task", choices=TASKS, nargs="?", default="discriminative")
    parser.add_argument("--link", default=LINK, help="what to emulate, such as 200MB/s,100us")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="measured over this link")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="add the round to this file")
    parser.add_argument("--show", action="store_true", help="only show the file's rounds")
    arguments = parser.parse_args()
    kept = read_rounds(arguments.keep) if arguments.keep else []
    if not arguments.show:
        kept += _played(arguments, kept)
    print(f"{machine()}, {date.today()}, `python benchmarks/interleave_launch.py`\n")
    print(tables(kept))


def _played(arguments: argparse.Namespace, kept: Sequence[Served]) -> list[Served]:
    """Play a round, and keep it if asked to."""
    task, link = arguments.task, arguments.link
    like = [one for one in kept if (one.task, one.link) == (task, link)]
    first = next((one.rate / one.load for one in like if one.load < inf), None)
    with TemporaryDirectory() as name:
        profile = arguments.profile
        if profile is None:
            profile = profiled(written(Path(name)), link)
        played = list(play_round(task, link, profile.resolve(), first))
    if arguments.keep:
        with arguments.keep.open("a") as file:
            file.writelines(f"{json.dumps(asdict(one))}\n" for one in played)
    return played


if __name__ == "__main__":
    main()
