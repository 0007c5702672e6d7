"""Install hexplan on a host: its source is sent to a Python there, which has nothing yet.

So it uses the standard library alone, and nothing that older Pythons cannot parse: they must get
as far as saying that they are too old.
"""

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path.home() / ".hexplan"
PYTHON = FOLDER / "venv" / "bin" / "python"
NOTE = FOLDER / "prepared.json"
OLDEST = (3, 11)


def prepare(name: str, encoded: str, alone: bool) -> None:
    """Install a wheel into a virtual environment, unless it is there; print a line of JSON."""
    if sys.version_info < OLDEST:  # noqa: UP036
        found = ".".join(map(str, sys.version_info[:3]))
        tell("failed", "found Python " + found + ", needed 3.11 or newer")
        return
    data = base64.b64decode(encoded)
    wanted = {"sha256": hashlib.sha256(data).hexdigest(), "python": sys.version, "alone": alone}
    if note() == wanted and works():
        tell("there")
        return
    try:
        install(name, data, alone)
    except subprocess.CalledProcessError as error:
        tell("failed", error.stderr.decode(errors="replace")[-800:] or str(error))
        return
    except OSError as error:
        tell("failed", str(error))
        return
    if not works():
        tell("failed", "hexplan is installed in " + str(FOLDER) + ", but cannot be found there")
        return
    try:
        NOTE.write_text(json.dumps(wanted), encoding="utf-8")
    except OSError as error:  # the next call installs it again
        tell("failed", str(error))
        return
    tell("installed")


def install(name: str, data: bytes, alone: bool) -> None:
    """Make the environment, and install the wheel and what it needs."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    wheel = FOLDER / name
    wheel.write_bytes(data)
    place = str(FOLDER / "venv")
    run(sys.executable, "-m", "venv", "--clear", "--system-site-packages", place)
    pip = (str(PYTHON), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "-q")
    if alone:
        run(*pip, "--no-index", "--no-deps", str(wheel))
    else:
        run(*pip, str(wheel) + "[runtime]")


def works() -> bool:
    """Say whether the environment has hexplan."""
    code = "from importlib.metadata import version; version('hexplan')"
    try:
        run(str(PYTHON), "-P", "-c", code)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def note() -> object:
    """Return what was installed last time; None if nothing was."""
    try:
        return json.loads(NOTE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def run(*words: str) -> None:
    """Run a program; its output goes to the error that it may end in."""
    subprocess.run(words, check=True, capture_output=True, stdin=subprocess.DEVNULL)  # noqa: S603


def tell(state: str, problem: str = "") -> None:
    """Print the outcome."""
    print(json.dumps({"state": state, "python": str(PYTHON), "problem": problem}))
