"""guidellm, unmodified: it asks for /health and the model, then streams chats of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clients.conftest import Installed
from support.serving import Served

CLIENT = "guidellm"
pytestmark = pytest.mark.slow
REQUESTS, PROMPT_TOKENS, NEW_TOKENS = 20, 32, 16


def test_guidellm_measures_every_request_to_its_last_token(
    clients_server: Served, installed: Installed, austen: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    done = installed.run(
        "guidellm",
        "run",
        f"--backend=kind=openai_http,target={clients_server.url},model=austen-3m",
        "--profile=kind=concurrent,streams=4",
        f"--constraint=kind=max_requests,count={REQUESTS}",
        f"--data=kind=synthetic_text,prompt_tokens={PROMPT_TOKENS},output_tokens={NEW_TOKENS}",
        f"--tokenizer=kind=huggingface_auto,model={austen}",
        f"--output=kind=json,path={report}",
        "--disable-progress",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (benchmark,) = json.loads(report.read_text())["benchmarks"]
    metrics = benchmark["metrics"]
    totals = metrics["request_totals"]
    assert (totals["successful"], totals["total"]) == (REQUESTS, REQUESTS)
    counts = metrics["output_token_count"]["successful"]
    assert counts["total_sum"] == REQUESTS * NEW_TOKENS
    assert metrics["inter_token_latency_ms"]["successful"]["mean"] > 0
