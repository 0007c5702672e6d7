"""A valid plan whose first host is two joined machines, made by hand from that of two hosts.

The reduces of a request move 80 tokens of 64 numbers, twice in each of 4 layers, half of
them to and half from each device: 81,920 bytes, here over a ring of nine tenths of 10 MB/s. A ring
starts twice in each reduce, where the devices of one host start once: 8395.7014 tokens/s instead of
8539.08461, before the slower bytes.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from support.changes import broken, change_stage
from support.plan_parts import FABRIC, MEGABYTE, SMALL, host, link
from support.plans import resealed, two_hosts_plan

from hexplan.cluster import Exclusion, GroupPin
from hexplan.host import Host, Interconnect, Machine
from hexplan.plan import Plan

RING = 9 * MEGABYTE
_SECONDS = 80 / Fraction("8395.7014") + 81_920 * (Fraction(1, RING) - Fraction(1, 100 * MEGABYTE))
CAPACITY = Decimal(int(80 / _SECONDS * 10**6)).scaleb(-6)
PARTS = tuple(
    Machine(
        name=name,
        site="lab",
        devices=("Big",),
        nic_in_bytes_per_s=10 * MEGABYTE,
        nic_out_bytes_per_s=10 * MEGABYTE,
    )
    for name in ("big", "other")
)
LINKS = tuple(
    link(source, target, 20 * MEGABYTE).model_copy(update={"latency_s": FABRIC.latency_s})
    for source, target in (("big", "other"), ("other", "big"))
)
WHOLE = Host(
    name="big",
    site="lab",
    devices=("Big", "Big"),
    interconnect=Interconnect(
        bandwidth_bytes_per_s=RING, latency_s=FABRIC.latency_s, crosses_hosts=True
    ),
    nic_in_bytes_per_s=MEGABYTE,
    nic_out_bytes_per_s=MEGABYTE,
    parts=PARTS,
)
SMALL_HOST = host("small", (SMALL, SMALL, SMALL))
PIN = GroupPin(host="big", devices=(0, 1))


def joined_plan(*, hosts: tuple[Host, ...] = (WHOLE, SMALL_HOST), **update: object) -> Plan:
    """Return the plan on a changed cluster."""
    plan = change_stage(two_hosts_plan(), 0, capacity_tokens_per_s=CAPACITY)
    links = (link("lab", "lab"), *LINKS)
    return resealed(plan, **{"hosts": hosts, "links": links, "group_pins": (PIN,)} | update)


def _with(**update: object) -> Plan:
    return joined_plan(hosts=(WHOLE.model_copy(update=update), SMALL_HOST))


def _part(**update: object) -> Plan:
    return _with(parts=(PARTS[0], PARTS[1].model_copy(update=update)))


def _priced(*prices: str | None) -> Plan:
    """Return the plan with a price of the joined host, then of its machines."""
    whole, *each = [None if price is None else Decimal(price) for price in prices]
    pairs = zip(PARTS, each, strict=True)
    parts = tuple(part.model_copy(update={"price_usd_per_h": price}) for part, price in pairs)
    return _with(parts=parts, price_usd_per_h=whole)


SHARED = LINKS[0].model_copy(update={"trunk_bytes_per_s": 10**9})
SHARED_LINE = (link("lab", "lab"), SHARED, LINKS[1])
NO_WAY = (link("lab", "lab"), LINKS[0], LINKS[1].model_copy(update={"allow": "tokens"}))
GOOD_JOINED = (joined_plan(), _priced("3.5", "1.5", "2"), _priced(None, "1.5", None))
_CASES = (
    (
        "a joined host that is one machine",
        _with(parts=PARTS[:1], devices=("Big", "Big")),
        ("HEX115",),
    ),
    ("joined hosts of which one is a host still", _part(name="small"), ("HEX115",)),
    ("a joined host without the name of its first machine", _with(parts=PARTS[::-1]), ()),
    ("joined hosts of two sites", _part(site="hall"), ()),
    ("a device that no joined machine has", _part(devices=("Big", "Big")), ()),
    ("joined hosts that cost less than each", _priced("2", "1.5", "2"), ()),
    ("joined hosts of which one has no price", _priced("1.5", "1.5", None), ()),
    ("a ring that is faster than a card", _part(nic_in_bytes_per_s=9 * MEGABYTE), ()),
    ("a ring that is faster than a link", joined_plan(links=(link("lab", "lab"),)), ()),
    ("joined hosts that share their line", joined_plan(links=SHARED_LINE), ()),
    ("joined hosts that nothing lets activations pass between", joined_plan(links=NO_WAY), ()),
    ("a card that keeps nothing for the ring", _with(nic_in_bytes_per_s=10 * MEGABYTE), ()),
    ("a ring within one host", _with(parts=()), ("HEX115",)),
    ("joined devices that nobody tied", joined_plan(group_pins=()), ()),
    (
        "joined devices of which one is out",
        joined_plan(exclusions=(Exclusion(host="big", device=1),)),
        ("HEX204",),
    ),
)
BROKEN_JOINED = tuple(broken(text, plan, "HEX111", *rules) for text, plan, rules in _CASES)
