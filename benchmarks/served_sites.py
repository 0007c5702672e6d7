"""Print what requests see of plans over sites beside what `hexplan simulate` says of the same ones.

    python benchmarks/served_sites.py [--cases two,three] [--loads 0.3,0.6] [--seconds 40]

Sites are network namespaces of this machine on a wire with the latency and bandwidth of the spec's
links; hosts answer ssh, and may have only a part of a processor. `hexplan profile` measures each
kind of host, `hexplan probe` the links, `hexplan solve` plans with both, and `hexplan serve` serves
the plan over ssh. Requests of one trace come over HTTP when they are due, and `hexplan simulate`
replays the same trace. A load is a share of the rate that the simulator sustains; of the plans for
several objectives, which get the same traces, the least. Needs root.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from planner import machine, row
from random_llamas import write_llama
from served import CLI, arrivals_of, make_tokenizer, simulated, sustained_per_s
from served_load import Arrival, Figures
from site_cases import CASES, MODEL, SiteCase
from site_hosts import hosts_in_sites, parts_of_processors, run_in
from support.desks import Desk, served
from support.networks import DESK
from transformers import LlamaConfig

from hexplan.plan import Plan
from hexplan.plan_file import read_plan

HEADINGS: Final = (
    *("case", "objective", "flow", "load", "requests/s", "TTFT, ms", "simulated", "ratio"),
    *("TPOT, ms", "simulated", "ratio", "tokens/s", "simulated", "ratio"),
)
WARMING: Final[list[Arrival]] = [(0.2 * number, 32, 8) for number in range(16)]


def main() -> None:
    """Serve every case under every load, and print a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", default="two,three")
    parser.add_argument("--objectives", default="throughput")
    parser.add_argument("--loads", default="0.3,0.6")
    parser.add_argument("--seconds", type=float, default=40.0, help="of arrivals")
    parser.add_argument("--folder", type=Path, help="for models, profiles and plans")
    parser.add_argument("--only-plan", action="store_true", help="simulate, and serve nothing")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that networks and groups go, too
    print(f"{date.today()}, {machine()}\n")  # noqa: DTZ011
    with TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        model = make_model(folder / "wide")
        print(row(HEADINGS), row(["---"] * len(HEADINGS)), sep="\n", flush=True)
        for name in arguments.cases.split(","):
            case = CASES[name]
            files = CaseFiles(case, model, measure(case, model, folder), folder)
            objectives = arguments.objectives.split(",")
            if not arguments.only_plan:
                probe(files)
            plans = {one: solve(files, one) for one in objectives}
            rate = min(sustained_per_s(read_plan(plan)) for plan in plans.values())
            for objective, plan in plans.items():
                show(Shown(case, objective, plan, rate), arguments, folder)


def make_model(folder: Path) -> Path:
    """Write the model unless the folder has it, and return the folder."""
    if not (folder / "config.json").exists():
        write_llama(LlamaConfig(**MODEL, bos_token_id=None, eos_token_id=None), folder)
        make_tokenizer(folder, MODEL["vocab_size"])
    return folder


def measure(case: SiteCase, model: Path, folder: Path) -> Path:
    """Run `hexplan profile` for each kind of host that the folder lacks, and join the profiles."""
    parts = []
    for host in case.kinds:
        found = folder / f"{model.name}-{host.device}.yaml"
        if not found.exists():
            words = [*CLI, "profile", "--model", str(model), "--device", host.device, "--on", "cpu"]
            words += ["--dtype", "float32", "--memory", case.memory, "-o", str(found), "--quiet"]
            words += ["--prompt-tokens", str(case.prompt_tokens)]
            words += ["--output-tokens", str(case.output_tokens)]
            with parts_of_processors([host]) as (group,):
                run_in(group, ["taskset", "-c", "0", *words])
        parts.append(found.read_text(encoding="utf-8").partition("stages:\n"))
    joined = folder / f"{model.name}-{case.name}.yaml"
    stages = "".join(stages for _, _, stages in parts)
    joined.write_text("".join(parts[0][:2]) + stages, encoding="utf-8")
    return joined


@dataclass(frozen=True, slots=True)
class CaseFiles:
    """The files that plans of a case are made of."""

    case: SiteCase
    model: Path
    speeds: Path
    folder: Path

    @property
    def links(self) -> Path:
        """What `hexplan probe` has measured, if it was asked."""
        return self.folder / f"{self.case.name}-links.yaml"

    def spec(self, objective: str) -> Path:
        """Write the cluster.yaml for an objective, and return its path."""
        file = self.folder / f"{self.case.name}-{objective}.yaml"
        file.write_text(self.case.spec(objective, self.model, self.speeds), encoding="utf-8")
        return file


def probe(files: CaseFiles) -> None:
    """Run `hexplan probe` from the desk over the emulated links, unless the folder has its file."""
    if files.links.exists():
        return
    case, spec = files.case, files.spec("throughput")
    with (
        TemporaryDirectory() as place,
        hosts_in_sites(case.hosts, case.links, Path(place)) as hosts,
    ):
        desk = Desk(hosts, spec, Path(place))
        desk.hexplan("probe", spec, "--bind", DESK, "-o", files.links, *desk.reach)


def solve(files: CaseFiles, objective: str) -> Path:
    """Run `hexplan solve`, and return the plan's file."""
    spec = files.spec(objective)
    found = spec.with_suffix(".json")
    asked = [*CLI, "solve", str(spec), "-o", str(found), "--time-limit", "10s", "--quiet"]
    if files.links.exists():
        asked += ["--overlay", str(files.links)]
    subprocess.run(asked, check=True)  # noqa: S603
    return found


@dataclass(frozen=True, slots=True)
class Shown:
    """A plan, and the rate of which loads are shares."""

    case: SiteCase
    objective: str
    plan: Path
    requests_per_s: float


def show(shown: Shown, arguments: argparse.Namespace, folder: Path) -> None:
    """Print a row for each load."""
    case, plan, read = shown.case, shown.plan, read_plan(shown.plan)
    loads = [float(load) for load in arguments.loads.split(",")]
    traces = [arrivals_of(read, load * shown.requests_per_s, arguments.seconds) for load in loads]
    seen = [None] * len(traces) if arguments.only_plan else serve(case, plan, traces, folder)
    for load, trace, figures in zip(loads, traces, seen, strict=True):
        cells = compared(figures, simulated(plan, trace, folder))
        flow = f"{read.predicted.tokens_per_s:.0f}"
        told = [case.name, shown.objective, flow, f"{load:g}", f"{load * shown.requests_per_s:.2f}"]
        print(row([*told, *cells]), flush=True)


def serve(
    case: SiteCase, plan: Path, traces: Sequence[list[Arrival]], folder: Path
) -> list[Figures | None]:
    """Serve a plan over ssh, and return what the requests of each trace see."""
    with (
        TemporaryDirectory() as place,
        hosts_in_sites(case.hosts, case.links, Path(place)) as hosts,
    ):
        home = Path(place) / "run"
        home.mkdir(mode=0o700)
        desk = Desk(hosts, plan, home)
        with served(desk, "--no-access-log") as url:
            send(desk, url, WARMING, folder)
            return [send(desk, url, trace, folder) for trace in traces]


def send(desk: Desk, url: str, trace: list[Arrival], folder: Path) -> Figures:
    """Send a trace from the desk."""
    read: Plan = read_plan(desk.plan)
    file = folder / "arrivals.json"
    file.write_text(json.dumps(trace), encoding="utf-8")
    client = Path(__file__).with_name("served_load.py")
    told = desk.run(sys.executable, client, url, str(read.model.vocab), file)
    return Figures(**json.loads(told))


def compared(ours: Figures | None, theirs: Figures) -> list[str]:
    """Return the cells of what was seen, what was simulated, and their ratios."""
    cells = []
    for name, unit in (("ttft_s", 1000), ("tpot_s", 1000), ("tokens_per_s", 1)):
        told = getattr(theirs, name)
        seen = None if ours is None else getattr(ours, name)
        cells += ["", f"{unit * told:.4g}", ""]
        if seen is not None:
            cells[-3::2] = f"{unit * seen:.4g}", f"{seen / told:.2f}"
    return cells


if __name__ == "__main__":
    main()
