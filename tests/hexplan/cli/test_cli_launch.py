"""The `launch` command: what it refuses, what it prints, and that it leaves nothing running."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
from make_tiny_checkpoints import OTHER_FAMILIES, make_config
from support.plans import two_hosts_plan
from support.shell import PROGRAM, Shell, program
from support.tiny_models import OPTIONS

from hexplan import cli
from hexplan.cli.output import emit_generated
from hexplan.model import Family
from hexplan.render import InOrder, JsonLines, LaunchView
from hexplan.render.launch_view import Emit

LAPTOP = Path(__file__).parents[3] / "cluster_specs" / "laptop.yaml"
PROMPTS = ("It is a truth universally acknowledged, that", "Emma Woodhouse, handsome, clever")


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of text as the runtime gives it."""

    prompt_index: int
    text: str
    is_last: bool = False
    prompt_tokens: int = 3

    @property
    def token_ids(self) -> tuple[int, ...]:
        """One token a character."""
        return tuple(map(ord, self.text))

    @property
    def finish_reason(self) -> str | None:
        return "length" if self.is_last else None


PIECES = (
    Piece(1, "B1"),
    Piece(0, "a1"),
    Piece(1, "B2", is_last=True),
    Piece(0, "a2"),
    Piece(2, "", is_last=True),
    Piece(0, "a3", is_last=True),
)


@pytest.fixture(scope="module")
def laptop_plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("laptop") / "plan.json"
    solved = program("solve", LAPTOP, "-o", path)
    assert solved.returncode == 0, solved.stderr
    return path


def test_the_help_names_the_families_that_run(hexplan: Shell) -> None:
    """Those of which the runtime's tests run a model (support/tiny_models.py and the script's)."""
    run = {make_config(kind).model_type for kind, _ in OPTIONS.values()} | {*OTHER_FAMILIES}
    assert run == set(get_args(Family))
    text = hexplan("launch", "--help").out
    told = {name for name in get_args(Family) if re.search(rf"\b{name}\b", text)}
    assert told == run


def test_a_launched_plan_streams_text_and_tells_the_rest_on_stderr(laptop_plan: Path) -> None:
    prompts = [word for prompt in PROMPTS for word in ("--prompt", prompt)]
    ran = program("launch", laptop_plan, *prompts, "--max-tokens", "8", "--json")
    assert ran.returncode == 0, ran.stderr
    answers = sorted(map(json.loads, ran.stdout.splitlines()), key=lambda answer: answer["index"])
    assert [answer["prompt"] for answer in answers] == list(PROMPTS)
    assert all(answer["text"].strip() for answer in answers)
    assert [len(answer["token_ids"]) for answer in answers] == [8, 8]
    assert all(answer["prompt_tokens"] > 0 for answer in answers)
    stages = json.loads(laptop_plan.read_text())["stages"]
    assert all(f"{stage['id']} ready: layers " in ran.stderr for stage in stages)
    assert "16 tokens in " in ran.stderr


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_a_launch_and_all_its_processes(
    laptop_plan: Path, sent: signal.Signals, code: int
) -> None:
    with subprocess.Popen(
        [*PROGRAM, "launch", str(laptop_plan), "--prompt", PROMPTS[0], "--max-tokens", "80"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        while "ready" not in process.stderr.readline():
            assert process.poll() is None
        ranks = children(process.pid)
        process.send_signal(sent)
        said = process.communicate()[1]
    assert process.returncode == code, said
    assert "Traceback" not in said
    assert ranks
    assert not [rank for rank in ranks if Path(f"/proc/{rank}").exists()]


def children(pid: int) -> list[int]:
    """Return the process ids of a process's children, whichever thread started them."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def test_a_plan_that_breaks_a_rule_is_not_launched(hexplan: Shell, broken_plan_file: Path) -> None:
    ran = hexplan("launch", broken_plan_file, "--prompt", "Hello")
    assert ran.code == 4
    assert f"error: {broken_plan_file} breaks a rule\nHEX" in ran.err
    assert f"`hexplan check {broken_plan_file}`" in ran.err


def test_a_launch_needs_a_prompt(hexplan: Shell, plan_file: Path) -> None:
    ran = hexplan("launch", plan_file)
    assert (ran.code, ran.out) == (2, "")
    assert "found no prompt, needed at least one" in ran.err


def test_a_prompts_file_of_blank_lines_holds_no_prompt(
    hexplan: Shell, plan_file: Path, tmp_path: Path
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n\n")
    assert (
        "found no prompt, needed at least one"
        in hexplan("launch", plan_file, "--prompts-file", prompts).err
    )


def test_a_plan_without_a_model_folder_says_how_to_name_one(
    hexplan: Shell, plan_file: Path
) -> None:
    ran = hexplan("launch", plan_file, "--prompt", "Hello")
    assert ran.code == 2
    assert "--model-folder" in ran.err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--max-tokens", "0"), ("--temperature", "-1"), ("--top-p", "1.5"), ("--top-k", "-2")],
)
def test_a_sampling_setting_out_of_range_is_refused(
    hexplan: Shell, laptop_plan: Path, option: str, value: str
) -> None:
    ran = hexplan("launch", laptop_plan, "--prompt", "Hello", option, value)
    assert (ran.code, ran.out) == (2, "")
    assert option.strip("-").replace("-", "_") in ran.err.replace("-", "_")


def test_without_torch_a_launch_says_what_to_install(plan_file: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from hexplan.cli import run\n"
        f"sys.exit(run(['launch', {str(plan_file)!r}, '--prompt', 'Hello']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: `torch` is not installed")
    assert 'hint: `pip install "hexplan[runtime]"`' in done.stderr


class Terminal(io.StringIO):
    """Someone at a keyboard."""

    def isatty(self) -> bool:
        return True


def test_a_person_is_asked_and_may_say_no(
    laptop_plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    monkeypatch.setattr(sys, "stderr", said)
    assert cli.run(["launch", str(laptop_plan), "--prompt", "Hello"]) == 130
    assert "start it on this machine?" in said.getvalue()
    assert "ready" not in said.getvalue()


def test_a_terminal_gets_no_control_characters_of_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    emit_generated("a\x1b[2Jb\n")
    assert terminal.getvalue() == "a\\x1b[2Jb\n"


def test_a_pipe_gets_what_the_model_made(capsys: pytest.CaptureFixture[str]) -> None:
    emit_generated("a\x1b[2Jb\n")
    assert capsys.readouterr().out == "a\x1b[2Jb\n"


def shown(writer: type[InOrder | JsonLines], prompts: tuple[str, ...]) -> list[str]:
    emitted: list[str] = []
    emit: Emit = emitted.append
    view = LaunchView(two_hosts_plan(), writer(prompts, emit))
    for piece in PIECES:
        if piece.prompt_index < len(prompts):
            view.piece(piece)
    return emitted


def test_one_continuation_is_printed_bare_as_it_comes() -> None:
    assert shown(InOrder, ("A",)) == ["a1", "a2", "a3\n"]


def test_several_continuations_are_printed_in_order_each_under_its_prompt() -> None:
    text = "".join(shown(InOrder, ("A", "B", "C")))
    assert text == "==> A <==\na1a2a3\n==> B <==\nB1B2\n==> C <==\n\n"


def test_the_first_unfinished_continuation_streams() -> None:
    assert shown(InOrder, ("A", "B", "C"))[:3] == ["==> A <==\n", "a1", "a2"]


def test_json_answers_come_as_they_end() -> None:
    answers = [json.loads(line) for line in shown(JsonLines, ("A", "B", "C"))]
    assert [(answer["prompt"], answer["text"]) for answer in answers] == [
        ("B", "B1B2"),
        ("C", ""),
        ("A", "a1a2a3"),
    ]
    assert answers[0]["finish_reason"] == "length"
    assert answers[0]["token_ids"] == [*map(ord, "B1B2")]
    assert answers[0]["prompt_tokens"] == 3
