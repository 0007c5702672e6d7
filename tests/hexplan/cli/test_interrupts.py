"""Ctrl-C during a search."""

from __future__ import annotations

import signal

import pytest

from hexplan.cli import interrupts
from hexplan.cli.interrupts import stop_on_interrupt


def test_the_first_interrupt_is_a_wish_to_stop_and_the_second_gives_up() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), stop_on_interrupt() as stop:
            assert not stop.is_set()
            signal.raise_signal(signal.SIGINT)
            assert stop.is_set()
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_that_somebody_has_caught_ends_what_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interrupts, "signals", [signal.SIGINT])
    with pytest.raises(KeyboardInterrupt), stop_on_interrupt():
        pytest.fail("the search has begun")
