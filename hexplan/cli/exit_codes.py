"""Exit codes that are no errors; those of errors are in `hexplan.errors`."""

from __future__ import annotations

import signal
from typing import Final

DIFFERENCES: Final = 5
"""`probe --exit-code` found differences."""
INTERRUPTED: Final = 128 + signal.SIGINT
"""The user interrupted the command."""
PIPE_CLOSED: Final = 128 + signal.SIGPIPE
"""The reader of stdout has left."""
