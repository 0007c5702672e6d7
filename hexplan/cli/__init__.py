"""The command line: runs commands, and turns errors into messages and exit codes.

What it needs is imported once signals are handled, so that Ctrl-C meanwhile shows no traceback.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from hexplan.cli.exit_codes import INTERRUPTED
from hexplan.cli.interrupts import end_if_asked, signals

USAGE_HINT = "`hexplan --help` lists the commands, and `hexplan COMMAND --help` what one takes"


def main() -> NoReturn:
    """Run the command line as a program."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        from hexplan.cli.streams import open_streams

        open_streams()
        code = run()
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(128 + signals[0] if signals else code)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Unwind, so that child processes are ended; a second signal ends this process at once."""
    signal.signal(number, signal.SIG_DFL)
    signals.append(number)
    raise KeyboardInterrupt


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; only here do errors become messages."""
    import typer

    from hexplan.cli.app import app
    from hexplan.cli.output import REPORT_HINT
    from hexplan.errors import HexplanError

    end_if_asked()
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        return app(words, prog_name="hexplan", standalone_mode=False) or 0
    except HexplanError as error:
        return _fail(error.exit_code, error.message, error.hint)
    except typer.TyperException as error:
        return _fail(error.exit_code, error.format_message().rstrip("."), USAGE_HINT)
    except typer.Abort:
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("HEXPLAN_DEBUG"):
            traceback.print_exc()
        message = f"hexplan has a bug: {type(error).__name__}: {error}"
        return _fail(HexplanError.exit_code, message, REPORT_HINT)


def _fail(exit_code: int, message: str, hint: str | None) -> int:
    """Print the error, unless a signal asked us to end: any call may fail because of it."""
    from hexplan.render import say_error

    if not signals:
        say_error(message, hint)
    return exit_code
