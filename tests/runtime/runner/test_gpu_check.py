from __future__ import annotations

import pytest
import torch
from gpu_check import main


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_the_check_of_a_gpu_says_that_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("skipped: torch finds no CUDA device")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tokens_are_right_and_decoding_is_fast_enough() -> None:
    assert main(["--layers", "4"]) == 0
