"""Names of hosts and devices in a cluster.yaml, and short forms for several of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hexplan.wording import found

MAX_RANGE = 4096
"""The most names that one range stands for; a typing slip must not make millions of hosts."""
MAX_DEVICES = 1024
"""The most devices of one host: more than any machine has."""
MAX_LABEL = 1000
"""The most characters of a title or a path."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_ADDRESS = re.compile(r"[A-Za-z0-9:]([A-Za-z0-9._:-]{0,251}[A-Za-z0-9:])?")
_RANGE = re.compile(
    r"(?P<head>[^\[\]]*)\[(?P<first>[0-9]{1,6})-(?P<last>[0-9]{1,6})\](?P<tail>[^\[\]]*)"
)
_DEVICE_COUNT = re.compile(
    r"(?:(?P<count>[0-9]{1,6}) *x *)?"
    r"(?P<name>(?!.* x [0-9])[A-Za-z0-9](?:[A-Za-z0-9._+() -]{0,61}[A-Za-z0-9._+)-])?)"
)
_DEVICE_SLOT = re.compile(r"(?P<host>[^/\[\]]+)/(?P<device>[0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class DeviceCount:
    """Several devices of one type."""

    count: int
    name: str
    """The device type."""


@dataclass(frozen=True, slots=True)
class DeviceSlot:
    """One device of a host."""

    host: str
    device: int
    """Its index on the host."""


def check_name(text: str) -> str:
    """Return a name that is safe in commands and file names."""
    if not _NAME.fullmatch(text):
        message = (
            f"found {found(text)}, needed a name: at most 63 letters, digits, `-`, `_`, `.`,"
            " with a letter or digit at both ends"
        )
        raise ValueError(message)
    return text


def check_address(text: str) -> str:
    """Return the text if it is an IP address or a DNS name, or a range of them."""
    for address in expand(text):
        if not _ADDRESS.fullmatch(address):
            message = f"found {found(address)}, needed an IP address or a DNS name"
            raise ValueError(message)
    return text


def check_label(text: str) -> str:
    """Return the text if it is one printable line, such as a title or a path."""
    if not text.strip() or not text.isprintable() or len(text) > MAX_LABEL:
        message = f"found {found(text)}, needed 1 to {MAX_LABEL} printable characters"
        raise ValueError(message)
    return text


def check_range(text: str) -> str:
    """Return the text if it is a name or a range of names."""
    for name in expand(text):
        check_name(name)
    return text


def expand(text: str) -> tuple[str, ...]:
    """Return the names of a range: `a-[0-3]` is `a-0` to `a-3`, `a-[08-11]` keeps the zeros."""
    if "[" not in text and "]" not in text:
        return (text,)
    match = _RANGE.fullmatch(text)
    if match is None:
        message = f"found {found(text)}, needed a name with at most one range such as `[0-3]`"
        raise ValueError(message)
    first, last = match["first"], match["last"]
    is_padded = first.startswith("0") and len(first) > 1
    if int(first) > int(last) or (is_padded and len(first) != len(last)):
        message = f"found the range [{first}-{last}], needed one that counts up in equal width"
        raise ValueError(message)
    if int(last) - int(first) >= MAX_RANGE:
        message = f"found a range of {int(last) - int(first) + 1}, needed at most {MAX_RANGE}"
        raise ValueError(message)
    width = len(first) if is_padded else 0
    numbers = range(int(first), int(last) + 1)
    return tuple(f"{match['head']}{number:0{width}d}{match['tail']}" for number in numbers)


def check_device_count(text: str) -> str:
    """Return the text if it is a count and a device type."""
    split_device_count(text)
    return text


def check_device_name(text: str) -> str:
    """Return the name of one device type, without a count."""
    if split_device_count(text) != DeviceCount(1, text):
        message = f"found {found(text)}, needed the name of a device type, without a count"
        raise ValueError(message)
    return text


def split_device_count(text: str) -> DeviceCount:
    """Read `4 x L4` or `L4`."""
    match = _DEVICE_COUNT.fullmatch(text)
    if match is None:
        message = f"found {found(text)}, needed `4 x L4`, or a list: `[4 x L4, 2 x T4]`"
        raise ValueError(message)
    count = int(match["count"] or 1)
    if not 0 < count <= MAX_DEVICES:
        message = f"found {count} devices, needed 1 to {MAX_DEVICES} in one host"
        raise ValueError(message)
    return DeviceCount(count, match["name"])


def check_device_slot(text: str) -> str:
    """Return the text if it names a device of a host."""
    split_device_slot(text)
    return text


def check_exclusion(text: str) -> str:
    """Return the text if it is a host, a range of hosts, or a device."""
    return check_device_slot(text) if "/" in text else check_range(text)


def split_device_slot(text: str) -> DeviceSlot:
    """Read `a100-0/3`."""
    match = _DEVICE_SLOT.fullmatch(text)
    if match is None:
        message = f"found {found(text)}, needed a device as host and index such as `a100-0/3`"
        raise ValueError(message)
    return DeviceSlot(check_name(match["host"]), int(match["device"]))
