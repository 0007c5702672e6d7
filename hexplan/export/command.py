"""Commands as data, which each target writes in its own way."""

from __future__ import annotations

import shlex
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FromVariable:
    """A word that is an environment variable's value where the command runs."""

    name: str
    suffix: str = ""
    """What follows the value: plain letters, digits and `:`."""


Word = str | FromVariable


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that a command needs."""

    name: str
    value: Word


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments and the environment variables that it needs."""

    environment: tuple[Variable, ...]
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member of a replica runs, as commands there and elsewhere have to say it."""

    own: Word
    """The address at which it listens."""
    reach: Word
    """The address at which other members reach it."""
    devices: tuple[int, ...]
    """Indices of its devices as the process sees them."""
    node_rank: Word
    """Its position among the members."""


def shell_word(word: Word) -> str:
    """Return a word as bash reads it back unchanged."""
    if isinstance(word, FromVariable):
        return f'"${{{word.name}:?}}{word.suffix}"'
    return shlex.quote(word)


def shell_script(command: Command) -> str:
    """Return lines of bash that run a command in place of the shell."""
    lines = [f"export {one.name}={shell_word(one.value)}" for one in command.environment]
    words = [shell_word(word) for word in command.words]
    lines.append("exec " + _wrapped(words))
    return "\n".join(lines) + "\n"


def _wrapped(words: list[str]) -> str:
    """Put each option on a line of its own, with the values that follow it."""
    lines: list[str] = []
    for word in words:
        if not lines or word.startswith("-"):
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return " \\\n  ".join(lines)
