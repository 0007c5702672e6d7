"""Keys of a launch: who has them may open and call its edges over TCP (CURVE)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import zmq


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A CURVE key pair, in Z85."""

    public: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """Return a new random pair."""
        return cls(*zmq.curve_keypair())


@dataclass(frozen=True, slots=True)
class LaunchKeys:
    """The keys of one launch, which every process of it gets on its stdin."""

    listeners: KeyPair
    callers: KeyPair

    @classmethod
    def new(cls) -> Self:
        """Return new random keys."""
        return cls(KeyPair.new(), KeyPair.new())

    @classmethod
    def of(cls, listeners: tuple[str, str], callers: tuple[str, str]) -> Self:
        """Return keys from what a process is told: public and secret ones, in Z85."""
        return cls(*(KeyPair(*(key.encode() for key in pair)) for pair in (listeners, callers)))


class Doorkeeper:
    """Lets in whoever holds the callers' key of the launch."""

    def __init__(self, public: bytes) -> None:
        self._public = public

    def callback(self, domain: str, key: bytes) -> bool:
        """Say whether a client with this public key, which it has proved to hold, may connect."""
        return key == self._public
