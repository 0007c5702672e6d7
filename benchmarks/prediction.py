"""Judge the cost model on measurements that its constants were not fitted to.

    python benchmarks/prediction.py [--write]

The constants of measured/left_out.json (by benchmarks/efficiencies.py) predict the model or the
chip that they were fitted without. `--write` puts the constants that were fitted to everything,
with the bands found here, into hexplan/catalog/data. docs/prediction.md has such an output.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
from catalog_bands import write
from left_out import OTHER, Judged, judged_experts, judged_layers, judged_requests
from planner import machine, row

from hexplan.catalog.interconnects import interconnect_of


def show(found: Sequence[Judged], fields: Mapping[str, int], degree: int | None = None) -> None:
    """Print bias, mean, worst and the share inside the band, by some fields of the kind.

    Parameters
    ----------
    degree
        Which field of the kind is the degree; then the mean at each degree is printed, too.
    """
    degrees = sorted({one.kind[degree] for one in found}) if degree is not None else []
    heads = [*fields, "points", *(f"TP {n}" for n in degrees)]
    heads += ["bias", "mean", "9 in 10", "worst", "band", "inside"]
    print(row(heads), row(["---"] * len(heads)), sep="\n")
    groups: dict[tuple[str, ...], list[Judged]] = {}
    for one in found:
        groups.setdefault(tuple(one.kind[index] for index in fields.values()), []).append(one)
    for key, group in sorted(groups.items()):
        cells = [*key, str(len(group))]
        for n in degrees:
            of_degree = [abs(one.error) for one in group if one.kind[degree or 0] == n]
            cells.append(f"{np.mean(of_degree):.0%}" if of_degree else "")
        print(row([*cells, *_summary(group)]))
    print()


def _summary(group: Sequence[Judged]) -> list[str]:
    errors = np.array([one.error for one in group])
    bands = np.array([one.band for one in group])
    sizes = np.abs(errors)
    told = [f"{errors.mean():+.0%}", f"{sizes.mean():.0%}"]
    told += [f"{np.quantile(sizes, 0.9):.0%}", f"{sizes.max():.0%}"]
    if not bands.any():
        return [*told, "", ""]
    stated = sorted({f"{bands.min():.0%}", f"{bands.max():.0%}"}, key=lambda text: float(text[:-1]))
    return [*told, " to ".join(stated), f"{(sizes <= bands).mean():.0%}"]


def main() -> None:
    """Judge and print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="update the catalog")
    if parser.parse_args().write:
        write()
    print(f"{date.today()}, {machine()}\n")  # noqa: DTZ011
    by = {"device": 0, "weights": 1, "phase": 2}
    print("Layers of a model left out\n")
    show(list(judged_layers(interconnect_of)), by, degree=3)
    print("Experts of a model left out\n")
    show(list(judged_experts()), by, degree=3)
    print("Layers and experts of a chip left out\n")
    left_out = [*judged_layers(interconnect_of, OTHER), *judged_experts(OTHER)]
    show([one for one in left_out if one.kind[3] == "1"], by)
    print("Seconds between two tokens of requests, measured end to end\n")
    found = list(judged_requests(interconnect_of))
    show(found, {"device": 0, "model": 1, "weights": 2, "engine": 3}, degree=4)
    show(found, {"TP": 4})


if __name__ == "__main__":
    main()
