"""Files of observations: whole lines whatever happens, and of one plan."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest
from support.plans import two_hosts_plan

from hexplan.errors import InputError, SpecError
from hexplan.measured.observation_file import ObservationFile
from hexplan.measured.observations import (
    LaunchSeen,
    Load,
    StepSeen,
    TransferSeen,
    plan_sha256,
    read_observations,
)

PLAN = two_hosts_plan()
OTHER = PLAN.model_copy(update={"routes": PLAN.routes[:1]})
LAUNCH = LaunchSeen(begun="2026-11-25T12:00:00+00:00", hardware="a CPU", cores=2, torch="2")
STEP = StepSeen(
    stage="s0", at_s=0.5, seconds=0.25, loads=(Load(enter_layer=0, prompt_tokens=8, reach=32.0),)
)
TRANSFER = TransferSeen(source="entry", target="s0", at_s=0.25, seconds=1e-3, tokens=8, bytes=184)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "observed.jsonl"


def written(path: Path) -> Path:
    with ObservationFile(path, PLAN) as file:
        file.add([LAUNCH, STEP])
        file.add([TRANSFER])
    return path


def test_what_is_written_is_read_launch_by_launch(path: Path) -> None:
    written(written(path))
    found = read_observations(path, PLAN)
    assert found.launches == (LAUNCH, LAUNCH)
    assert found.steps == ((STEP,), (STEP,))
    assert found.transfers == (TRANSFER, TRANSFER)
    assert len(path.read_text().splitlines()) == 7


def test_the_hash_of_a_plan_does_not_see_how_it_was_solved() -> None:
    again = PLAN.solve.model_copy(update={"wall_s": 99.0})
    assert plan_sha256(PLAN.model_copy(update={"solve": again})) == plan_sha256(PLAN)
    assert plan_sha256(OTHER) != plan_sha256(PLAN)


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_line_that_a_killed_launch_left_unfinished_does_not_count(path: Path, cut: int) -> None:
    whole = written(path).read_bytes()
    path.write_bytes(whole[:-cut])
    assert read_observations(path, PLAN).transfers == ()
    with ObservationFile(path, PLAN) as file:
        file.add([TRANSFER])
    assert path.read_bytes() == whole


def test_a_header_that_was_cut_off_is_written_anew(path: Path) -> None:
    header = written(path).read_bytes().splitlines(keepends=True)[0]
    path.write_bytes(header[:40])
    ObservationFile(path, PLAN).close()
    assert path.read_bytes() == header


def test_lines_of_many_threads_stay_whole(path: Path) -> None:
    with ObservationFile(path, PLAN) as file:
        file.add([LAUNCH])
        threads = [Thread(target=file.add, args=([STEP] * 50,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert read_observations(path, PLAN).steps == ((STEP,) * 400,)


def test_nothing_is_written_once_the_file_is_closed(path: Path) -> None:
    file = ObservationFile(path, PLAN)
    file.close()
    before = path.read_bytes()
    file.add([LAUNCH])
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["notes of mine", "notes of mine\n", '{"version": 1}\n'])
def test_a_file_with_something_else_is_left_as_it_is(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(InputError, match=f"{path.name}:1:"):
        ObservationFile(path, PLAN)
    assert path.read_text() == text


def test_observations_of_another_plan_are_refused_by_name(path: Path) -> None:
    written(path)
    for use in (read_observations, ObservationFile):
        with pytest.raises(SpecError, match="found observations of the plan 'two-hosts'") as error:
            use(path, OTHER)
        assert (
            error.value.hint == "observations hold for one plan: launch this one with `--observe`"
        )


def test_a_folder_that_is_not_there_is_told(path: Path) -> None:
    with pytest.raises(InputError, match="cannot write observations there: No such file"):
        ObservationFile(path.parent / "none" / "o.jsonl", PLAN)
    with pytest.raises(InputError, match="needed a file"):
        ObservationFile(Path("/dev/null"), PLAN)


GOOD = STEP.model_dump_json()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[]", "found a list, needed an object"),
        ("{", "not JSON"),
        ('{"kind": "step", "kind": "step"}', "found the name 'kind' twice"),
        ("{}", "found nothing as `kind`, needed one of 'launch', 'step', 'transfer'"),
        ('{"kind": "stage"}', "found 'stage' as `kind`"),
        (GOOD.replace("0.25", "-1.0"), "seconds: found -1.0, needed >= 0"),
        (GOOD.replace("0.25", '"fast"'), "seconds: found 'fast', needed a number"),
        (GOOD.replace("0.25", "1e7"), "seconds: found 10000000.0, needed <= 1000000"),
        (GOOD.replace("0.25", "1e999"), "needed a finite number"),
        (GOOD.replace('"at_s":0.5,', ""), "the field `at_s` is missing"),
        (GOOD.replace('"at_s"', '"at"'), "at: unknown field"),
        (GOOD.replace('"s0"', '"s9"'), "stage: found 's9', needed a stage of the plan"),
        (GOOD.replace('"enter_layer":0', '"enter_layer":7'), "found the layer 7, needed one of"),
        (
            TRANSFER.model_dump_json(by_alias=True).replace("entry", "s9"),
            "found an edge from 's9' to 's0', needed one of the plan",
        ),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(path: Path, line: str, words: str) -> None:
    text = written(path).read_text()
    path.write_text(f"{text}{line}\n{GOOD}\n")
    with pytest.raises(InputError) as error:
        read_observations(path, PLAN)
    assert error.value.message.startswith(f"{path}:5")
    assert words in error.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "found no line, needed observations"),
        ('{"kind":"observations","version":2}\n', "version: found 2, needed 1, the newest"),
        ('{"kind":"observations","version":1}\n', "the field `plan` is missing"),
    ],
)
def test_a_file_must_begin_as_observations_do(path: Path, text: str, words: str) -> None:
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_observations(path, PLAN)
    assert words in error.value.message


def test_steps_stand_behind_the_launch_that_they_belong_to(path: Path) -> None:
    header = written(path).read_text().splitlines(keepends=True)[0]
    path.write_text(f"{header}{GOOD}\n")
    with pytest.raises(SpecError, match="found a step, needed a launch before it"):
        read_observations(path, PLAN)
