"""The `serve` command: what it refuses, what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import httpx
import pytest
from support.processes import are_gone, wait_until
from support.shell import PROGRAM, Shell, program

LAPTOP = Path(__file__).parents[3] / "cluster_specs" / "laptop.yaml"


@pytest.fixture(scope="module")
def laptop_plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served-laptop") / "plan.json"
    solved = program("solve", LAPTOP, "-o", path)
    assert solved.returncode == 0, solved.stderr
    return path


def ranks_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the processes that a server has started so far."""
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


@contextmanager
def started(
    plan: Path, *options: str, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a server as a process of its own; yield it and its address."""
    command = [*PROGRAM, "serve", str(plan), "--port", "0", *options]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, process.communicate()[1]
            assert wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
            yield process, url
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_lets_requests_end_and_takes_no_more(
    laptop_plan: Path, sent: signal.Signals, code: int, tmp_path: Path
) -> None:
    with (
        started(laptop_plan, TMPDIR=str(tmp_path)) as (process, url),
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        ask = {"prompt": "Emma was", "max_tokens": 60, "stream": True, "ignore_eos": True}
        with client.stream("POST", "/v1/completions", json=ask) as answer:
            parts = answer.iter_text()
            text = next(parts)
            process.send_signal(sent)
            assert wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 503)
            refused = httpx.post(f"{url}/v1/completions", json=ask)
            text += "".join(parts)
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "draining"
        assert text.count("data: {") == 60
        assert text.endswith("data: [DONE]\n\n")
        said = process.communicate()[1]
        assert process.returncode == code, said
        assert "stopping: 1 request may take 30 s to end" in said
        assert said.rstrip().endswith("stopped")
        assert "Emma" not in said
    assert list(tmp_path.iterdir()) == []  # torch's compiler would leave a folder


@pytest.mark.slow
def test_ctrl_c_while_the_server_starts_ends_it_at_once(laptop_plan: Path, tmp_path: Path) -> None:
    """There is nothing to wait for, and no rank and no file stays."""
    command = [*PROGRAM, "serve", str(laptop_plan), "--port", "0"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            # Reading torch may take a busy machine longer than one wait.
            assert any(wait_until(lambda: bool(ranks_of(process))) for _ in range(5))
            ranks = ranks_of(process)
            process.send_signal(signal.SIGINT)
            out, said = process.communicate()
        finally:
            process.kill()
    assert process.returncode == 130, said
    assert out == ""
    assert "Traceback" not in said
    assert are_gone(ranks)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_requests_that_take_too_long_to_end_are_cut_off(laptop_plan: Path) -> None:
    with started(laptop_plan, "--drain-timeout", "1ms") as (process, url):
        ask = {"prompt": [5], "max_tokens": 200, "stream": True, "ignore_eos": True}
        with httpx.stream("POST", f"{url}/v1/completions", json=ask, timeout=60) as answer:
            parts = answer.iter_text()
            text = next(parts)
            process.send_signal(signal.SIGTERM)
            text += "".join(parts)
        said = process.communicate()[1]
    assert process.returncode == 0, said
    assert "stopped: some requests were cut off" in said
    *_, error, done, _ = text.split("\n\n")
    assert "closed" in json.loads(error.removeprefix("data: "))["error"]["message"]
    assert done == "data: [DONE]"


@pytest.mark.slow
def test_a_lost_rank_ends_the_server_and_every_stream(laptop_plan: Path) -> None:
    with started(laptop_plan) as (process, url):
        ask = {"prompt": [5], "max_tokens": 200, "stream": True, "ignore_eos": True}
        said: list[str] = []

        def read() -> None:
            with httpx.stream("POST", f"{url}/v1/completions", json=ask, timeout=60) as answer:
                said.extend(answer.iter_text())

        reader = Thread(target=read)
        reader.start()
        assert wait_until(lambda: bool(said))
        subprocess.run(["kill", "-9", str(ranks_of(process)[0])], check=True)
        told = process.communicate()[1]
        reader.join()
    assert process.returncode == 7, told
    assert "error: stage s" in told
    *_, error, done, _ = "".join(said).split("\n\n")
    assert json.loads(error.removeprefix("data: "))["error"]["type"] == "server_error"
    assert done == "data: [DONE]"


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (["--host", "0.0.0.0"], "means every address", "--allow-wildcard"),
        (["--host", "0.0.0.0", "--allow-wildcard"], "no key is asked for", "--api-key-file FILE"),
        (["--host", "192.0.2.1", "--insecure"], "no address of this machine", "ip address"),
        (["--drain-timeout", "30"], "--drain-timeout: found '30'", ""),
        (["--api-key-file", "nowhere"], "nowhere", ""),
        (
            ["--port", "0", "--model-folder", "nowhere"],
            "nowhere: not a model folder",
            "download the model",
        ),
    ],
)
def test_wrong_options_are_refused_before_anything_starts(
    hexplan: Shell, plan_file: Path, options: list[str], message: str, hint: str
) -> None:
    ran = hexplan("serve", plan_file, *options)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert hint in ran.err


def test_a_port_in_use_is_told_before_anything_starts(hexplan: Shell, plan_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        ran = hexplan("serve", plan_file, "--port", port)
    assert (ran.code, ran.out) == (2, "")
    assert f"cannot listen at 127.0.0.1 port {port}" in ran.err
    assert "`--port 0` takes a free port" in ran.err


def test_a_plan_that_breaks_a_rule_is_not_served(hexplan: Shell, broken_plan_file: Path) -> None:
    ran = hexplan("serve", broken_plan_file)
    assert ran.code == 4
    assert f"error: {broken_plan_file} breaks a rule\nHEX" in ran.err


def test_no_option_takes_a_key_itself(hexplan: Shell) -> None:
    """Other users of a machine see the command lines of all processes."""
    told = hexplan("serve", "--help").out
    assert "--api-key-file" in told
    assert "--api-key " not in told
