"""Print how far the bounds that `check` recomputes are from the flow, and from the trusted ones.

    python benchmarks/proofs.py [--time-limit 30] [--first 300] [--count 4]

One row for each example spec, then for generated clusters of each family (`odd_specs.py`). A bound
is one on the flow, so all plans are for `throughput`, whatever a spec asks for. Each plan is
checked, so a bound in the column `proved` has been recomputed. The table is Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from odd_specs import FAMILIES, odd_spec
from planner import machine

from hexplan.check import check_plan
from hexplan.reading import parse_spec, read_spec
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve

FOLDER = Path(__file__).parents[1] / "cluster_specs"


@dataclass(frozen=True, slots=True)
class Row:
    """One cluster: its flow and its bounds in tokens/s."""

    name: str
    flow: float
    proved: float
    kind: str
    trusted: float | None
    trusted_kind: str
    check_s: float
    """Computing time, which does not depend on what else the machine does."""
    violations: int

    @property
    def text(self) -> str:
        """The row of the table."""
        trusted, more = "", ""
        if self.trusted is not None:
            trusted = f"{self.trusted:,.1f} ({self.trusted_kind})"
            more = _percent(self.proved / self.trusted - 1)
        wrong = f" **{self.violations} violations**" if self.violations else ""
        return (
            f"| {self.name} | {self.flow:,.1f} | {self.proved:,.1f} ({self.kind}){wrong}"
            f" | {_percent(self.proved / self.flow - 1)} | {trusted} | {more}"
            f" | {self.check_s:.2f} s |"
        )


def main() -> None:
    """Solve each cluster, check its plan, and print a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time-limit", type=float, default=30.0, help="seconds for each plan")
    parser.add_argument("--first", type=int, default=300, help="first seed")
    parser.add_argument("--count", type=int, default=4, help="clusters of each family")
    parser.add_argument("--examples", nargs="*", help="names of example specs; all by default")
    arguments = parser.parse_args()
    print(f"{date.today()}, {machine()}, {arguments.time_limit:g} s\n")  # noqa: DTZ011
    print("| cluster | flow | proved | above the flow | trusted | proved above it | check |")
    print("|---|---|---|---|---|---|---|")
    rows = []
    for name, spec in _specs(arguments):
        rows.append(_row(name, spec, arguments.time_limit))
        print(rows[-1].text, flush=True)
    gaps = [row.proved / row.flow - 1 for row in rows]
    kinds = Counter(row.kind for row in rows)
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    checked = sum(not row.violations for row in rows)
    print(f"\n{checked} of {len(rows)} bounds recomputed by `check` ({told});", end=" ")
    print(f"proved gap {_percent(statistics.median(gaps))} in the median")


def _specs(arguments: argparse.Namespace) -> Iterator[tuple[str, Spec]]:
    names = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    for name in names if arguments.examples is None else arguments.examples:
        yield name, read_spec(FOLDER / f"{name}.yaml")
    for family in FAMILIES:
        for seed in range(arguments.first, arguments.first + arguments.count):
            name = f"{family}-{seed}"
            yield name, parse_spec(odd_spec(family, seed), Path(f"{name}.yaml"))


def _row(name: str, spec: Spec, time_limit_s: float) -> Row:
    plan = solve(replace(spec, objective="throughput"), SolveOptions(time_limit_s=time_limit_s))
    begun = time.process_time()
    violations = check_plan(plan)
    check_s = time.process_time() - begun
    certificate = plan.certificate
    trusted = certificate.trusted
    return Row(
        name,
        float(certificate.flow_tokens_per_s),
        float(certificate.bound_tokens_per_s),
        certificate.proof.kind,
        None if trusted is None else float(trusted.tokens_per_s),
        "" if trusted is None else trusted.kind,
        check_s,
        len(violations),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
