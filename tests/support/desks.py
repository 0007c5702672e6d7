"""The commands of a user at the desk, who plans for hosts that answer ssh, and serves on them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.processes import wait_until
from support.ssh_hosts import SshHosts

PATIENCE_S = 240.0
FOLDER = Path(__file__).parents[2] / "models" / "austen-3m"
PROMPT = "It is a truth"
ASK = """\
import sys
from openai import OpenAI
client = OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
chunks = client.completions.create(
    model="austen-3m", prompt=sys.argv[2], max_tokens=24, temperature=0, stream=True
)
print("".join(chunk.choices[0].text for chunk in chunks if chunk.choices))
"""
READY = "import sys, httpx; sys.exit(httpx.get(sys.argv[1]).status_code != 200)"


@dataclass(frozen=True, slots=True)
class Desk:
    """The commands of a user at the desk."""

    hosts: SshHosts
    plan: Path
    home: Path

    def words(self, *words: str | Path) -> list[str]:
        """Return what runs a command there."""
        set_home = f"XDG_RUNTIME_DIR={self.home}"
        return self.hosts.network.at_desk("env", set_home, *map(str, words))

    def run(self, *words: str | Path, exit_code: int = 0) -> str:
        """Run a command that must succeed, or end as said, and return what it prints."""
        done = subprocess.run(
            self.words(*words), capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == exit_code, done.stdout + done.stderr
        return done.stdout

    def hexplan(self, *words: str | Path, exit_code: int = 0) -> str:
        """Run hexplan, and return what it prints."""
        return self.run(sys.executable, "-m", "hexplan", *words, exit_code=exit_code)

    @property
    def reach(self) -> tuple[str, ...]:
        """The options that say how hosts are reached."""
        return ("--ssh", " ".join(self.hosts.ssh), "--python", sys.executable)

    def ask(self, url: str, prompt: str = PROMPT) -> str:
        """Return what the server adds to a prompt, for the client of openai."""
        return self.run(sys.executable, "-c", ASK, f"{url}/v1", prompt).removesuffix("\n")

    def here(self, *prompts: str) -> str:
        """Return what the same plan prints on this machine alone, prompts and all."""
        words = ["--here", "--yes", "--temperature", "0", "--max-tokens", "24"]
        for prompt in prompts:
            words += ["--prompt", prompt]
        return self.hexplan("launch", self.plan, *words)


def num_layers() -> int:
    """Return the layers of the model that the desk serves."""
    layers: int = json.loads((FOLDER / "config.json").read_text())["num_hidden_layers"]
    return layers


def desk_of(hosts: SshHosts, folder: Path, spec: str) -> Desk:
    """Plan for hosts by a spec, at a desk whose files are in a folder."""
    file, plan = folder / "cluster.yaml", folder / "plan.json"
    file.write_text(spec)
    home = folder / "run"
    home.mkdir(mode=0o700)
    desk = Desk(hosts, plan, home)
    desk.hexplan("solve", file, "-o", plan)
    return desk


@contextmanager
def served(desk: Desk, *options: str) -> Iterator[str]:
    """Serve the plan, give its URL once it is ready, and stop it."""
    hexplan = (sys.executable, "-m", "hexplan", "serve", desk.plan, "--yes", "--port", "0")
    log = desk.home / "serve.log"
    with log.open("w") as output:
        words = desk.words(*hexplan, *desk.reach, *options)
        server = subprocess.Popen(words, stdout=output, stderr=output)
    try:

        def has_begun() -> bool:
            return "http://" in log.read_text() or server.poll() is not None

        assert wait_until(has_begun, PATIENCE_S)
        assert server.poll() is None, log.read_text()
        url = next(word for word in log.read_text().split() if word.startswith("http://"))
        url = url.rstrip(".,/")
        ask = desk.words(sys.executable, "-c", READY, f"{url}/readyz")
        assert wait_until(lambda: subprocess.run(ask, check=False).returncode == 0)
        yield url
        desk.hexplan("stop")
        assert server.wait(PATIENCE_S) == 0, log.read_text()
    finally:
        server.kill()
        server.wait()
