"""Print what requests see of served plans beside what `hexplan simulate` says of the same ones.

    python benchmarks/served.py [--size 125M] [--shapes one,two,tp2,replicas] [--loads 0.3,0.5,0.7]

`hexplan profile` measures this machine, `hexplan solve` plans, and `hexplan serve` serves the plan,
each rank on a processor of its own. The requests of a trace come over HTTP when they are due, and
`hexplan simulate` replays the same trace. A load is a share of the rate that the simulator
sustains.

Other work takes time from the ranks, which no simulation knows. Linux tells for how long each stood
ready without a processor, and the clock of the requests stands still for as long. `had` is the
share of the time in which a rank was ready that it ran: 100 % on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import takewhile
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from planner import machine, row
from random_llamas import SIZES, make_llama
from served_load import Arrival, Clock, Figures, send
from served_shapes import HOSTS, Subject
from tokenizers import Tokenizer, models

from hexplan.plan import Plan
from hexplan.plan_file import read_plan
from hexplan_solver.simulate import (
    Offline,
    Poisson,
    SpreadLengths,
    Window,
    pipeline_of_plan,
    policy_of_plan,
    simulate,
)

CLI: Final = (sys.executable, "-m", "hexplan")
LEAST_OUTPUT: Final = 8
"""Output tokens of a request, at least. One of two tokens has a single gap between them, which a
prompt lengthens tenfold; a few of those would decide the mean over a short trace."""
HEADINGS: Final = (
    *("plan", "load", "requests/s", "TTFT, ms", "simulated", "ratio", "TPOT, ms", "simulated"),
    *("ratio", "tokens/s", "simulated", "ratio", "had"),
)


def main() -> None:
    """Serve every shape under every load, and print a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="125M")
    parser.add_argument("--type", default="float32")
    parser.add_argument("--shapes", default=",".join(HOSTS))
    parser.add_argument("--loads", default="0.3,0.5,0.7")
    parser.add_argument("--seconds", type=float, default=60.0, help="of arrivals")
    parser.add_argument("--rounds", type=int, default=1, help="medians are printed")
    parser.add_argument("--latency", default="100us", help="of a link, as `hexplan probe` has it")
    parser.add_argument("--profile", type=Path, help="measured before; measured now else")
    parser.add_argument("--folder", type=Path, help="for models and plans; a temporary one else")
    arguments = parser.parse_args()
    shapes = arguments.shapes.split(",")
    print(f"{date.today()}, {machine()}, {arguments.size} in {arguments.type}\n")  # noqa: DTZ011
    with TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        model = make_llama(arguments.size, folder / arguments.size)
        make_tokenizer(model, SIZES[arguments.size]["vocab_size"])
        profile = arguments.profile or folder / "profile.yaml"
        layers = SIZES[arguments.size]["num_hidden_layers"]
        subject = Subject(model, layers, arguments.type, profile, arguments.latency)
        print(row(HEADINGS), row(["---"] * len(HEADINGS)), sep="\n", flush=True)
        for shape in shapes:
            if arguments.profile is None:
                measure(subject, shape)
            plan_file = plan(subject, shape, folder)
            read = read_plan(plan_file)
            with served(plan_file) as server:
                for load in map(float, arguments.loads.split(",")):
                    rate = load * sustained_per_s(read)
                    arrivals = arrivals_of(read, rate, arguments.seconds)
                    rounds = [server.run(arrivals, read) for _ in range(arguments.rounds)]
                    cells = compared(rounds, simulated(plan_file, arrivals, folder))
                    print(row([shape, f"{load:g}", f"{rate:.2f}", *cells]), flush=True)


def make_tokenizer(model: Path, vocab: int) -> None:
    """Write a tokenizer with a word for each token, as a server needs one."""
    words = {f"w{token} ": token for token in range(vocab)}
    Tokenizer(models.WordLevel(words, unk_token="w0 ")).save(str(model / "tokenizer.json"))  # noqa: S106


def measure(subject: Subject, shape: str) -> None:
    """Run `hexplan profile` with as many devices at work as a shape has."""
    asked = [*CLI, "profile", "--model", str(subject.folder), "--device", "core", "--on", "cpu"]
    asked += ["--dtype", subject.dtype, "--memory", "4GiB", "-o", str(subject.profile), "--force"]
    asked += ["--prompt-tokens", str(subject.prompt_tokens)]
    asked += ["--output-tokens", str(subject.output_tokens), "--quiet"]
    asked += ["--tp", "2"] * (shape == "tp2")
    asked += ["--together", "1" if shape == "one" else "2"]
    subprocess.run(asked, check=True)  # noqa: S603


def plan(subject: Subject, shape: str, folder: Path) -> Path:
    """Run `hexplan solve`, and return the plan's file."""
    spec, found = folder / f"{shape}.yaml", folder / f"{shape}.json"
    spec.write_text(subject.spec(shape), encoding="utf-8")
    asked = [*CLI, "solve", str(spec), "-o", str(found), "--time-limit", "10s", "--quiet"]
    subprocess.run(asked, check=True)  # noqa: S603
    return found


def sustained_per_s(read: Plan) -> float:
    """Return the requests/s that the simulator sustains."""
    lengths = SpreadLengths(read.workload.prompt_tokens, read.workload.output_tokens)
    pipeline, policy = pipeline_of_plan(read), policy_of_plan(read)
    return simulate(pipeline, Offline(lengths), policy, Window(600.0, 60.0)).requests_per_s


def arrivals_of(read: Plan, requests_per_s: float, seconds: float) -> list[Arrival]:
    """Return a trace: requests at random, the first at 0 s, with lengths like the workload's.

    None has fewer output tokens than `LEAST_OUTPUT`.
    """
    lengths = SpreadLengths(read.workload.prompt_tokens, read.workload.output_tokens)
    drawn = Poisson(requests_per_s, lengths).arrivals(random.Random(1))  # noqa: S311
    found = list(takewhile(lambda arrival: arrival[0] < seconds, drawn))
    begin_s = found[0][0]
    return [(round(at_s - begin_s, 3), p, max(LEAST_OUTPUT, o)) for at_s, p, o in found]


def simulated(plan_file: Path, arrivals: Sequence[Arrival], folder: Path) -> Figures:
    """Replay a trace by `hexplan simulate`."""
    trace = folder / "trace.jsonl"
    lines = [
        json.dumps({"timestamp": 1000 * at_s, "input_length": prompt, "output_length": output})
        for at_s, prompt, output in arrivals
    ]
    trace.write_text("\n".join(lines) + "\n", encoding="utf-8")
    asked = [*CLI, "simulate", str(plan_file), "--trace", str(trace), "--warmup", "1us", "--json"]
    told = subprocess.run(asked, check=True, capture_output=True, text=True).stdout  # noqa: S603
    found = json.loads(told)
    means = (found[name]["mean_s"] for name in ("ttft", "tpot"))
    return Figures(*means, found["output_tokens_per_s"])


def compared(rounds: Sequence[tuple[Figures, float]], told: Figures) -> Iterator[str]:
    """Yield the cells of the medians of some rounds, of the simulation, and their ratios."""
    for name, unit in (("ttft_s", 1000), ("tpot_s", 1000), ("tokens_per_s", 1)):
        ours = median(getattr(figures, name) for figures, _ in rounds)
        theirs = getattr(told, name)
        yield from (f"{unit * ours:.4g}", f"{unit * theirs:.4g}", f"{ours / theirs:.2f}")
    yield f"{median(had for _, had in rounds):.0%}"


class Server:
    """A server that answers, and the clock of its ranks."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._url, self._clock = url, clock

    def run(self, arrivals: Sequence[Arrival], read: Plan) -> tuple[Figures, float]:
        """Send a trace; return what its requests saw, and the share of time that ranks had."""
        ran_s, waited_s = self._clock.ran_and_waited_s()
        figures = Figures.of(send(self._url, arrivals, read.model.vocab, self._clock))
        ran_now_s, waited_now_s = self._clock.ran_and_waited_s()
        more_s = ran_now_s - ran_s
        return figures, more_s / (more_s + waited_now_s - waited_s)


@contextmanager
def served(plan_file: Path) -> Iterator[Server]:
    """Run `hexplan serve`, with each rank on a processor of its own."""
    asked = [*CLI, "serve", str(plan_file), "--port", "0", "--yes", "--no-access-log"]
    with subprocess.Popen(asked, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            ranks = sorted(filter(_is_rank, _children(process.pid)))
            cores = sorted(os.sched_getaffinity(0))
            for index, rank in enumerate(ranks):
                for task in _tasks(rank, ""):
                    os.sched_setaffinity(int(task.name), {cores[index % len(cores)]})
            read = read_plan(plan_file)
            server = Server(url, Clock(ranks, ways=len(read.routes)))
            server.run([(0.3 * number, 32, 8) for number in range(8)], read)  # to warm up
            yield server
        finally:
            process.terminate()


def _children(pid: int) -> list[int]:
    found = [path.read_text().split() for path in _tasks(pid, "children")]
    return [int(child) for children in found for child in children]


def _is_rank(pid: int) -> bool:
    return "hexplan_runtime.stage.worker" in Path(f"/proc/{pid}/cmdline").read_text()


def _tasks(pid: int, name: str) -> list[Path]:
    """Return the files of this name of all threads of a process."""
    return [task / name for task in Path(f"/proc/{pid}/task").iterdir()]


if __name__ == "__main__":
    main()
