"""aiperf, unmodified: it streams chats of its own, and reads /metrics before and after."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clients.conftest import Installed
from support.serving import Served

CLIENT = "aiperf"
pytestmark = pytest.mark.slow
REQUESTS, NEW_TOKENS = 20, 16


def test_aiperf_measures_every_request_to_its_last_token(
    clients_server: Served,
    installed: Installed,
    austen: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")  # with it aiperf takes a folder for a repository's name
    done = installed.run(
        "aiperf",
        "profile",
        "--model=austen-3m",
        f"--url={clients_server.url}",
        "--endpoint-type=chat",
        "--streaming",
        "--concurrency=4",
        f"--request-count={REQUESTS}",
        f"--tokenizer={austen}",
        "--synthetic-input-tokens-mean=32",
        f"--output-tokens-mean={NEW_TOKENS}",
        "--extra-inputs=ignore_eos:true",
        f"--output-artifact-dir={tmp_path}",
        "--ui=none",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "profile_export_aiperf.json").read_text())
    assert report["request_count"]["avg"] == REQUESTS
    assert report["error_summary"] == []
    assert report["total_output_tokens"]["avg"] == REQUESTS * NEW_TOKENS
    assert report["total_usage_completion_tokens"]["avg"] == REQUESTS * NEW_TOKENS
    assert report["inter_token_latency"]["avg"] > 0
    told = (tmp_path / "server_metrics_export.json").read_text()
    assert "hexplan_generation_tokens" in told
