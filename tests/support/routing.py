"""nginx as a program: does it load a file, and where do requests go behind it?"""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
import threading
import time
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from support.exported import exported

from hexplan.export import Listen
from hexplan.plan import Plan

MOST_WAIT_S = 20


def loaded_nginx(program: str, folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Return what nginx says of a file in its `http` block."""
    config = _config(folder, text)
    command = [program, "-t", "-p", str(folder), "-c", str(config), "-e", "stderr"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def answers_behind(program: str, folder: Path, plan: Plan, *, requests: int) -> list[int]:
    """Return how many of some requests each endpoint answered behind the file of a plan."""
    servers = [_Endpoint(("127.0.0.1", 0), _Answer) for _ in plan.routes]
    port = _free_port()
    text = exported(plan, "nginx", model="/m", listen=Listen("127.0.0.1", port))["hexplan.conf"]
    ports = iter(server.server_port for server in servers)
    text = re.sub(r"server 10\.[0-9.:]+ ", lambda _: f"server 127.0.0.1:{next(ports)} ", text)
    config = _config(folder, text)
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    command = [program, "-p", str(folder), "-c", str(config), "-e", "stderr"]
    nginx = subprocess.Popen([*command, "-g", "daemon off;"])
    try:
        answered = _ask(port, requests)
    finally:
        nginx.terminate()
        nginx.wait(MOST_WAIT_S)
        for server in servers:
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()
    return [answered[str(server.server_port)] for server in servers]


def _config(folder: Path, text: str) -> Path:
    (folder / "hexplan.conf").write_text(text)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"worker_processes 2;\npid {folder}/nginx.pid;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}include {folder}/hexplan.conf;\n}}\n"
    )
    return config


def _ask(port: int, requests: int) -> Counter[str]:
    found: Counter[str] = Counter()
    connection = _connection(port)
    for _ in range(requests):
        connection.request("GET", "/v1/models")
        answer = connection.getresponse()
        assert answer.status == 200
        found[answer.read().decode()] += 1
    connection.close()
    return found


def _connection(port: int) -> http.client.HTTPConnection:
    deadline = time.monotonic() + MOST_WAIT_S
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=MOST_WAIT_S)
        with suppress(OSError):
            connection.connect()
            return connection
        time.sleep(0.05)
    raise TimeoutError("nginx does not listen")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class _Endpoint(ThreadingHTTPServer):
    daemon_threads = True


class _Answer(BaseHTTPRequestHandler):
    """Says which endpoint answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer in one write, or each waits for a delayed ACK

    def do_GET(self) -> None:  # noqa: N802
        assert isinstance(self.server, _Endpoint)
        body = str(self.server.server_port).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
