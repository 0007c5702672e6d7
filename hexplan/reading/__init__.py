"""From a cluster.yaml, and the files it names, to a `Spec`.

The functions are loaded when they are first asked for: agents read model folders, which are here as
well, and there may be many on one machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hexplan.reading.reader import SPEC_VERSION, parse_spec, read_spec

__all__ = ["SPEC_VERSION", "parse_spec", "read_spec"]


def __getattr__(name: str) -> object:
    """Return what the reader has of this name."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from hexplan.reading import reader

    return getattr(reader, name)
