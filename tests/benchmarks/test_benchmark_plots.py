"""Pictures of the benchmarks show the figures that stand in docs/benchmarks.md."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "docs" / "benchmarks.md"


def texts(svg: Path) -> list[str]:
    elements = ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(element.itertext()) for element in elements]


def draw(script: str, table: Path, target: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks" / script, table, target],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONSAFEPATH": ""},
        check=False,
    )


def test_the_growth_in_the_docs_is_drawn_from_the_table_there(tmp_path: Path) -> None:
    """`python benchmarks/scale_plot.py docs/benchmarks.md docs/growth.svg` draws it anew."""
    done = draw("scale_plot.py", TABLES, tmp_path / "growth.svg")
    assert done.returncode == 0, done.stderr
    found = texts(tmp_path / "growth.svg")
    assert found == texts(ROOT / "docs" / "growth.svg")
    assert {"64", "4096", "devices (logarithmic)", "Proved gap"} <= set(found)


def test_the_planner_s_picture_has_a_panel_for_each_spec_of_the_table(tmp_path: Path) -> None:
    done = draw("planner_plot.py", TABLES, tmp_path / "planner.svg")
    assert done.returncode == 0, done.stderr
    found = texts(tmp_path / "planner.svg")
    bounds = [line.split("|") for line in TABLES.read_text().splitlines() if "| *bound* |" in line]
    assert len(bounds) > 10
    for _, spec, _, bound, *_ in bounds:
        assert spec.strip() in found
        assert f"bound {bound.strip()} tokens/s" in found
    assert found.count("hexplan") == len(bounds)
    assert "no plan" in found


def test_the_runtime_in_the_docs_is_drawn_from_the_table_there(tmp_path: Path) -> None:
    """`python benchmarks/runtime_plot.py docs/benchmarks.md docs/runtime.svg` draws it anew."""
    done = draw("runtime_plot.py", TABLES, tmp_path / "runtime.svg")
    assert done.returncode == 0, done.stderr
    found = texts(tmp_path / "runtime.svg")
    assert found == texts(ROOT / "docs" / "runtime.svg")
    assert {"125M float32, batch 8", "prompts", "decodes"} <= set(found)


def test_a_page_without_the_table_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("| a | b |\n|---|---|\n| 1 | 2 |\n")
    done = draw("planner_plot.py", page, tmp_path / "out.svg")
    assert done.returncode != 0
    assert "found no table with the columns" in done.stderr
    assert not (tmp_path / "out.svg").exists()
