"""The rules on hosts, and on what joins two of them."""

from __future__ import annotations

from hexplan.check.rules import Rule

JOINED_HOST_WRONG = Rule(
    "HEX111",
    "joined-host-wrong",
    "A joined host has the name and site of its first machine, the devices of all, and the figures"
    " that the ring through them and their links give; all its devices are pinned together.",
)
PAIR_OVERLOADED = Rule(
    "HEX516",
    "pair-overloaded",
    "The edges from one host to another together carry no more than the link between them.",
)
