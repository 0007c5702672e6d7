"""The start of a stage that was lost: whatever goes wrong, it is tried again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from hexplan.errors import HexplanError, LaunchError
from hexplan_runtime.launch.stage_start import Restarts, StageStart
from hexplan_runtime.processes import Child

ERRORS = [OSError(28, "No space left on device"), RuntimeError("can't start new thread")]
"""Which Python raises where a system has no room for a file or a thread."""


def start_of(
    start: Callable[[StageStart], Sequence[Child]],
    end: Callable[[int, Sequence[Child]], None] = lambda stage, ranks: None,
    most: int = 2,
) -> tuple[StageStart, list[str]]:
    notes: list[str] = []
    how = replace(Restarts(), most=most, log=notes.append)
    return StageStart(3, "stage s3", how, start, end, ()), notes


@pytest.mark.parametrize("error", [ERRORS[0], LaunchError("its host is lost")])
def test_a_start_that_fails_in_any_way_is_tried_again(error: Exception) -> None:
    tries: list[int] = []

    def start(stage: StageStart) -> Sequence[Child]:
        tries.append(stage.stage)
        if len(tries) == 1:
            raise error
        return ()

    begun, notes = start_of(start)
    assert begun.run() is None
    assert tries == [3, 3]
    assert any(str(error) in note for note in notes), notes


@pytest.mark.parametrize("error", ERRORS)
def test_a_start_that_always_fails_says_why(error: Exception) -> None:
    def start(stage: StageStart) -> Sequence[Child]:
        raise error

    begun, _ = start_of(start, most=1)
    failure = begun.run()
    assert isinstance(failure, HexplanError)
    assert failure.message == f"{type(error).__name__}: {error}"


def test_ranks_that_cannot_be_ended_do_not_keep_others_from_starting() -> None:
    def end(stage: int, ranks: Sequence[Child]) -> None:
        raise OSError(1, "Operation not permitted")

    begun, notes = start_of(lambda stage: (), end)
    assert begun.run() is None
    assert "ranks that ran before were not ended" in notes[0]
