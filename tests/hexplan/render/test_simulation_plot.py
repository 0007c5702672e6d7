"""A simulation's picture, as SVG and as PNG."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import pytest
from support.pipelines import ONE_BY_ONE, SteadySteps, chain
from support.shell import Shell

from hexplan.render import Kind, outcome_picture, picture_kind
from hexplan.results.outcome import Outcome
from hexplan_solver.simulate import FixedLengths, Poisson, Slo, Window, simulate

SHORT = ("--duration", "60s", "--warmup", "10s")
ODD_NAMES = ("_s", "$x^2$", "<b>&", "a\x01b", "$")
KINDS: tuple[Kind, ...] = ("svg", "png")


def run_of(num_stages: int, rate: float = 2.0, slo: Slo | None = None) -> Outcome:
    """Run prompts of one token and outputs of three through a chain of stages."""
    pipeline = chain(*[SteadySteps(0.01, 0.01)] * num_stages)
    traffic = Poisson(rate, FixedLengths(1, 3))
    return simulate(pipeline, traffic, ONE_BY_ONE, Window(50.0, slo=slo))


def parts(svg: bytes, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(f"{{http://www.w3.org/2000/svg}}{tag}"))


def texts(svg: bytes) -> list[str]:
    return ["".join(element.itertext()) for element in parts(svg, "text")]


def png_size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def renamed(outcome: Outcome, names: Sequence[str]) -> Outcome:
    """Call the first stages otherwise."""
    uses = [
        use.model_copy(update={"stage": name})
        for use, name in zip(outcome.stages, names, strict=False)
    ]
    return outcome.model_copy(update={"stages": (*uses, *outcome.stages[len(uses) :])})


def test_the_svg_names_what_it_shows_with_units(
    hexplan: Shell, plan_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "out.svg"
    ran = hexplan("simulate", plan_file, "--rate", "2/s", *SHORT, "--plot", path)
    assert (ran.code, ran.err) == (0, f"wrote {path}\n")
    svg = path.read_bytes()
    found = texts(svg)
    assert {"first token (TTFT)", "per token (TPOT)", "whole request"} <= set(found)
    assert {"tokens/s", "requests", "share of time, %", "share of cache, %", "tokens"} <= set(found)
    assert found.count("simulated time, s") == 5
    assert found.count("warm-up, left out") == 5
    assert "90" in found and "99" in found
    assert {name.partition(":")[0] for name in found if name.startswith("stage ")} == {
        "stage s0",
        "stage s1",
        "stage s2",
    }
    assert b"nan" not in svg and b"inf" not in svg


def test_the_name_s_ending_says_which_picture_is_drawn() -> None:
    assert picture_kind("--plot", Path("a.b.PNG")) == "png"
    assert picture_kind("--plot", Path("folder.png/run.svg")) == "svg"


@pytest.mark.slow
def test_equal_runs_give_equal_bytes_in_every_process(
    hexplan: Shell, plan_file: Path, tmp_path: Path
) -> None:
    for kind in KINDS:
        command = ("simulate", plan_file, "--rate", "2/s", *SHORT, "--plot")
        assert hexplan(*command, tmp_path / f"here.{kind}").code == 0
    code = (
        "import sys\nfrom hexplan.cli import run\n"
        f"for kind in {KINDS!r}:\n"
        f"    run(['simulate', {str(plan_file)!r}, '--rate', '2/s', *{SHORT!r},"
        f" '--plot', {str(tmp_path)!r} + '/there.' + kind])\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, "pyplot keeps state for the whole process"
    width, height = png_size((tmp_path / "here.png").read_bytes())
    assert (width, height > width) == (1200, True)
    for kind in KINDS:
        assert (tmp_path / f"here.{kind}").read_bytes() == (tmp_path / f"there.{kind}").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_user_s_own_settings_play_no_part(kind: Kind) -> None:
    outcome = run_of(1)
    plain = outcome_picture(outcome, kind)
    with matplotlib.rc_context({"font.size": 30.0, "svg.hashsalt": "other", "savefig.dpi": 30.0}):
        assert outcome_picture(outcome, kind) == plain


@pytest.mark.parametrize("num_stages", [1, 7])
def test_few_stages_are_lines_with_their_means(num_stages: int) -> None:
    outcome = run_of(num_stages)
    svg = outcome_picture(outcome, "svg")
    names = [text for text in texts(svg) if text.startswith("stage s")]
    assert len(names) == 3 * num_stages
    assert f"stage s0: {100 * outcome.stages[0].busy:.1f} %" in names
    assert not parts(svg, "image")


def test_many_stages_are_rows_of_maps_with_some_of_their_names() -> None:
    heights = []
    for num_stages in (8, 42):
        svg = outcome_picture(run_of(num_stages), "svg")
        rows = [text for text in texts(svg) if re.fullmatch(r"s\d+", text)]
        assert 3 * 8 <= len(rows) <= 3 * 14
        assert len(parts(svg, "image")) == 6  # maps, and bars that tell their colours
        assert not [text for text in texts(svg) if text.startswith("stage ")]
        heights.append(float(ElementTree.fromstring(svg).attrib["height"].removesuffix("pt")))
    assert heights[0] < heights[1]


def test_promises_are_marked() -> None:
    found = texts(outcome_picture(run_of(1, slo=Slo(0.25, 0.05)), "svg"))
    assert "promised: 250 ms" in found
    assert "promised: 50 ms" in found


@pytest.mark.parametrize("num_stages", [len(ODD_NAMES), 9])
def test_any_name_of_a_stage_can_be_drawn(num_stages: int) -> None:
    svg = outcome_picture(renamed(run_of(num_stages), ODD_NAMES), "svg")
    for name in ODD_NAMES:
        assert any(name.replace("\x01", "\\x01") in text for text in texts(svg))


@pytest.mark.parametrize(("num_stages", "kind"), [(1, "png"), (9, "svg")])
def test_a_run_in_which_nothing_is_finished_is_drawn(num_stages: int, kind: Kind) -> None:
    outcome = run_of(num_stages, rate=1e-9)
    assert outcome.finished == 0
    picture = outcome_picture(outcome, kind)
    if kind == "svg":
        assert "Latency: no request was finished" in texts(picture)
    else:
        assert png_size(picture)[0] == 1200


def test_a_run_of_no_time_is_drawn(hexplan: Shell, plan_file: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    rows = "2024-05-10 00:00:00,9999999,5\n"  # no KV cache holds it, so it is turned away
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows)
    path = tmp_path / "out.svg"
    ran = hexplan("simulate", plan_file, "--trace", trace, "--plot", path)
    assert (ran.code, ran.err) == (0, f"wrote {path}\n")
    assert "0 requests finished in 0 simulated seconds" in texts(path.read_bytes())[-1]


@pytest.mark.parametrize("name", ["run.gif", "run.pdf", "run", ".svg", "run.svg.gz", "-"])
def test_other_kinds_of_picture_are_refused_before_the_run(
    hexplan: Shell, plan_file: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    ran = hexplan("simulate", plan_file, "--plot", path)
    assert (ran.code, ran.out) == (2, "")
    assert f"--plot: found {name}, needed a name that ends in .svg or .png" in ran.err
    assert "hint: such as `--plot plot.svg`" in ran.err
    assert not path.exists()


def test_without_matplotlib_a_plot_says_what_to_install(plan_file: Path, tmp_path: Path) -> None:
    command = ["simulate", str(plan_file), "--rate", "2/s", *SHORT]
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from hexplan.cli import run\n"
        f"assert run({command!r}) == 0\n"
        f"sys.exit(run([*{command!r}, '--plot', {str(tmp_path / 'out.svg')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: `matplotlib` is not installed")
    assert 'hint: `pip install "hexplan[plot]"`' in done.stderr
    assert not (tmp_path / "out.svg").exists()
