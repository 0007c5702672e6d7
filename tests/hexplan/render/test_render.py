"""What people read: plans at every width, progress on and off a terminal, and numbers in words."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console
from support.changes import change_memory
from support.grouped_plans import GROUPED
from support.plans import mixed_stage_plan, two_hosts_plan, two_sites_plan
from support.shared_plans import SHIFT, SP

from hexplan.plan import CutTerm, Plan, Route, Unused
from hexplan.render import plan_text, say, say_error, summary
from hexplan.render.plan_view import MAX_ROUTES
from hexplan.render.progress import PlainLines, solve_progress
from hexplan_solver import Progress

ESCAPE = "\x1b"


def at_width(plan: Plan, width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    return plan_text(plan).splitlines()


def progress(phase: str, elapsed_s: float) -> Progress:
    return Progress(phase, 2000.0, 2050.0, elapsed_s)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("plan", [two_hosts_plan(), mixed_stage_plan(), two_sites_plan()])
def test_no_line_of_a_plan_is_wider_than_the_terminal(
    plan: Plan, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = at_width(plan, width, monkeypatch)
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_every_width_tells_the_same_facts(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(" ".join(at_width(two_hosts_plan(), width, monkeypatch)).split())
    for fact in ("s1*", "[4, 6)", "small", "1 x Small (0)", "2,185 of 2,185", "100 %", "660"):
        assert fact in text


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (SP, "2 x Big (0-1), sp x2"),
        (SHIFT, "2 x Big (0-1), shift x2, tp to 54 tokens"),
        (GROUPED, "4 x Big (0-3), shift 2x2, tp to 36 tokens"),
    ],
)
def test_a_stage_that_shares_tokens_says_so(
    plan: Plan, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"  {told}" in at_width(plan, 60, monkeypatch)


def test_a_wide_terminal_gets_a_row_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = at_width(two_hosts_plan(), 80, monkeypatch)
    assert [line.split()[0] for line in lines[7:10]] == ["s0", "s1*", "s2*"]


def test_a_narrow_terminal_gets_a_paragraph_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = at_width(two_hosts_plan(), 60, monkeypatch)
    assert "s0: layers [0, 4) on big" in lines
    assert "  load 4,370 of 8,539 tokens/s" in lines


def test_a_plan_in_a_pipe_has_no_escape_codes() -> None:
    assert ESCAPE not in plan_text(two_hosts_plan())


def test_colour_can_be_forced_and_no_color_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert ESCAPE in plan_text(two_hosts_plan())
    monkeypatch.setenv("NO_COLOR", "1")
    assert ESCAPE not in plan_text(two_hosts_plan())


def test_the_bottleneck_is_named_in_words() -> None:
    assert "stage s1 (layers [4, 6) on small): 2,185.0 tokens/s" in plan_text(two_hosts_plan())
    assert "the trunk from east to west: 800.0 kB/s" in plan_text(two_sites_plan())


def test_unequal_shards_are_told_and_equal_ones_are_not() -> None:
    assert "2+1+1 KV heads" in plan_text(mixed_stage_plan())
    assert "KV heads" not in plan_text(two_hosts_plan())


def test_unused_devices_of_one_reason_share_a_line() -> None:
    plan = two_hosts_plan()
    reason = "no layer is left for it"
    unused = tuple(Unused(host="small", device=device, reason=reason) for device in (0, 1, 2))
    text = plan_text(plan.model_copy(update={"unused": unused}))
    assert "3 x Small (0-2) on small: no layer is left for it" in text


def test_a_plan_that_uses_everything_has_no_section_of_unused_devices() -> None:
    assert "Unused" not in plan_text(mixed_stage_plan())


def test_many_routes_are_summed_up() -> None:
    plan = two_hosts_plan()
    hops = plan.routes[0].hops
    routes = tuple(
        Route(hops=hops, tokens_per_s=Decimal(1), weight=Decimal("0.05")) for _ in range(20)
    )
    lines = plan_text(plan.model_copy(update={"routes": routes})).splitlines()
    assert sum(line.endswith("s0 > s1") for line in lines) == MAX_ROUTES
    assert "  40 %  on 8 smaller routes" in lines


def test_a_route_says_where_it_enters_a_stage_late() -> None:
    plan = two_hosts_plan()
    first = plan.routes[0]
    late = first.hops[1].model_copy(update={"enter_layer": 5})
    route = first.model_copy(update={"hops": (first.hops[0], late)})
    text = plan_text(plan.model_copy(update={"routes": (route,)}))
    assert "s0 > s1 from layer 5" in text


def test_a_plan_that_breaks_rules_is_still_shown() -> None:
    plan = two_hosts_plan()
    stray = plan.stages[0].model_copy(update={"host": "nowhere", "memory": ()})
    text = plan_text(plan.model_copy(update={"stages": (stray,)}))
    assert "2 x unknown (0-1)" in text


def test_numbers_beyond_reason_are_still_shown() -> None:
    plan = two_hosts_plan()
    huge = Decimal("1e400")
    certificate = plan.certificate.model_copy(
        update={
            "gap": huge,
            "bound_tokens_per_s": huge,
            "cut": (CutTerm(constraint="nic-in:a", price=huge, capacity=huge),),
        }
    )
    text = plan_text(
        change_memory(plan, 0, 0, free_bytes=-(10**400)).model_copy(
            update={"certificate": certificate}
        )
    )
    assert "more than a million times" in text


def test_a_name_cannot_drive_the_terminal() -> None:
    plan = two_hosts_plan()
    cluster = plan.cluster.model_copy(update={"name": f"evil{ESCAPE}[2J[red]"})
    text = plan_text(plan.model_copy(update={"cluster": cluster}))
    assert ESCAPE not in text
    assert "evil\\x1b[2J[red]" in text


def test_the_summary_tells_flow_bound_and_gap() -> None:
    line = summary(two_hosts_plan(), Path("plan.json"))
    assert line.startswith(
        "wrote plan.json: 4,370.0 tokens/s in 3 stages, bound 250,000.0 tokens/s"
    )
    assert "gap up to 58 times" in line
    assert summary(two_hosts_plan(), None).startswith("4,370.0 tokens/s")
    assert summary(two_hosts_plan(), Path("-")).startswith("4,370.0 tokens/s")


def test_messages_go_to_stderr_unfolded(capsys: pytest.CaptureFixture[str]) -> None:
    long = " ".join(["long"] * 60)
    say(long)
    say_error("wrong", "try again")
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{long}\n" in err
    assert err.endswith("error: wrong\n\nhint: try again\n")


def test_an_error_without_a_hint_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say_error(f"wrong{ESCAPE}[2J")
    assert capsys.readouterr().err == "error: wrong\\x1b[2J\n"


def test_off_a_terminal_progress_is_a_line_a_phase_and_now_and_then() -> None:
    file = io.StringIO()
    report = PlainLines(Console(file=file, width=60, color_system=None))
    for step in (
        progress("placement", 0.0),
        progress("placement", 9.0),  # too soon
        progress("placement", 10.5),
        progress("links", 11.0),
        progress("links", 12.0),  # too soon
    ):
        report(step)
    lines = file.getvalue().splitlines()
    assert [line.partition(":")[0] for line in lines] == ["placement", "placement", "links"]
    assert lines[0] == (
        "placement: best 2,000.0 tokens/s, bound 2,050.0 tokens/s, gap 2.5 %, 0.00 s"
    )


def test_progress_without_a_solution_tells_the_time_only() -> None:
    file = io.StringIO()
    PlainLines(Console(file=file, color_system=None))(Progress("bound", None, None, 3.0))
    assert file.getvalue() == "bound: 3.00 s\n"


def test_quiet_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with solve_progress(quiet=True) as report:
        report(progress("placement", 0.0))
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_progress_is_one_line_that_goes_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "30")
    with solve_progress(quiet=False) as report:
        report(progress("placement", 0.0))
        report(progress("links", 1.0))
    err = capsys.readouterr().err
    assert "…" in err  # cut to one line
    assert err.endswith(f"{ESCAPE}[2K")  # and wiped


def test_a_dumb_terminal_gets_plain_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    with solve_progress(quiet=False) as report:
        report(progress("placement", 0.0))
    err = capsys.readouterr().err
    assert err.startswith("placement: best")
    assert ESCAPE not in err
