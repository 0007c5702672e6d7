"""Traces are read in every form that they are published in."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from support.published_traffic import TRACE, published_arrivals, published_lengths

from hexplan.errors import InputError
from hexplan_solver.simulate.traces import read_trace

HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def _file(folder: Path, text: str, name: str = "trace") -> Path:
    path = folder / name
    path.write_text(text, newline="")
    return path


def test_azure_s_mixed_timestamps_are_read(tmp_path: Path) -> None:
    text = (
        "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
        "2024-05-10 00:00:00+00:00,10,1\r\n"
        "2024-05-10 00:00:00.5,20,2\r\n"
        "2024-05-10 00:00:01.0099300+00:00,30,3\r\n"
        "2024-05-10 02:00:02+02:00,40,4"
    )
    assert read_trace(_file(tmp_path, text)) == (
        (0.0, 10, 1),
        (0.5, 20, 2),
        (1.00993, 30, 3),
        (2.0, 40, 4),
    )


def test_requests_come_in_the_order_of_time_from_zero_on(tmp_path: Path) -> None:
    rows = "2024-05-10 00:00:09,10,1\n2024-05-10 00:00:07,20,2\n"
    assert read_trace(_file(tmp_path, HEAD + rows)) == ((0.0, 20, 2), (2.0, 10, 1))


def test_mooncake_s_json_lines_are_read_zipped_too(tmp_path: Path) -> None:
    text = (
        '{"timestamp": 3000, "input_length": 5, "output_length": 6, "hash_ids": [1]}\n'
        '{"timestamp": 3027, "input_length": 7, "output_length": 8, "hash_ids": []}\n'
    )
    path = tmp_path / "trace.jsonl.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert read_trace(path) == ((0.0, 5, 6), (0.027, 7, 8))


def test_the_committed_trace_is_azure_s_hour_of_conversations() -> None:
    requests = read_trace(TRACE)
    assert len(requests) == 19366
    assert requests[0] == (0.0, 374, 44)
    assert requests[-1][0] == pytest.approx(3501.72, abs=0.01)
    pairs = published_lengths().pairs
    # 763.1 and 232.4, as the Helix artifact states for its cut of this trace
    assert sum(p for p, _ in pairs) / len(pairs) == pytest.approx(763.1, abs=0.05)
    assert sum(d for _, d in pairs) / len(pairs) == pytest.approx(232.4, abs=0.06)


def test_half_an_hour_at_a_given_load_is_that_of_the_published_simulator() -> None:
    requests = published_arrivals(350).requests
    assert len(requests) == 632
    assert requests[0] == pytest.approx((2.2738632088209076, 420, 124))
    assert requests[-1] == pytest.approx((1797.132028702381, 396, 102))
    totals = sum(p for _, p, _ in requests), sum(d for _, _, d in requests)
    assert totals == (467520, 144499)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found ''"),  # empty
        ("time,in,out\n1,2,3\n", "trace:1"),  # other columns
        (HEAD, "found no requests"),  # only a head
        (HEAD + "yesterday,1,2\n", "trace:2"),  # no time
        (HEAD + "2024-05-10 00:00:00,1\n", "2 columns"),  # a column short
        (HEAD + "2024-05-10 00:00:00,1,0\n", "needed 1 to"),  # no output
        ('{"timestamp": 0, "input_length": 5}\n', "output_length"),  # a field short
        ('{"timestamp": 0, "input_length": 5.5, "output_length": 1}\n', "whole"),  # no count
        ('{"timestamp": NaN, "input_length": 5, "output_length": 1}\n', "timestamp"),  # no number
        ('{"timestamp": 0\n', "trace:1"),  # cut off
    ],
)
def test_a_wrong_trace_is_refused_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        read_trace(_file(tmp_path, text))
    assert told in str(error.value)


def test_a_file_that_is_not_zipped_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_trace(_file(tmp_path, HEAD, "trace.csv.gz"))
    with pytest.raises(InputError, match="cannot read"):
        read_trace(tmp_path / "none.csv")


@pytest.mark.timeout(10)
def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "trace.csv")
    with pytest.raises(InputError, match="found a FIFO, needed a regular file"):
        read_trace(tmp_path / "trace.csv")
