"""What collectives take: one start-up, and then bytes over bandwidth (docs/formulation.md 4)."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.constants import EXCHANGE_STARTS
from hexplan.host import Interconnect


@dataclass(frozen=True, slots=True)
class CollectiveCost:
    """Seconds of a collective, of which each device brings or gets a message."""

    start_s: float
    """Before the first byte."""
    byte_s: float
    """For each byte of the message."""


def all_reduce_cost(
    interconnect: Interconnect | None, num_devices: int, senders: int = 0
) -> CollectiveCost:
    """Return the cost of an all-reduce; of nothing on one device.

    Parameters
    ----------
    senders
        Devices that send at the same time, where several groups reduce side by side.
    """
    if num_devices == 1 or interconnect is None:
        return CollectiveCost(0.0, 0.0)
    start_s = _start_s(interconnect, num_devices)
    byte_s = _byte_s(interconnect, num_devices, max(num_devices, senders))
    return CollectiveCost(start_s, 2 * byte_s / num_devices)


def exchange_cost(interconnect: Interconnect, num_devices: int, senders: int = 0) -> CollectiveCost:
    """Return the cost of an all-to-all or an all-gather, by the bytes that each device ends with.

    The start-up is longer than that of an all-reduce, for which engines have kernels of their own.
    Where it was measured between two devices, that counts.

    Parameters
    ----------
    senders
        Devices that send at the same time, where several groups exchange side by side.
    """
    start_s = EXCHANGE_STARTS * _start_s(interconnect, num_devices)
    if interconnect.exchange_latency_s is not None:
        measured_s = float(interconnect.exchange_latency_s)
        start_s += measured_s - EXCHANGE_STARTS * float(interconnect.latency_s)
    byte_s = _byte_s(interconnect, num_devices, max(num_devices, senders))
    return CollectiveCost(start_s, byte_s / num_devices)


def _start_s(interconnect: Interconnect, num_devices: int) -> float:
    """Return the start-up of an all-reduce: a ring over joined hosts starts in every step."""
    latency_s = float(interconnect.latency_s)
    if interconnect.crosses_hosts:
        return 2 * (num_devices - 1) * latency_s
    return latency_s + (num_devices - 2) * float(interconnect.device_latency_s)


def _byte_s(interconnect: Interconnect, num_devices: int, senders: int) -> float:
    """Return what a ring takes for one byte that all devices pass on once, n - 1 times in turn."""
    crowd = 1 + float(interconnect.contention) * (senders - 2)
    return (num_devices - 1) * crowd / interconnect.bandwidth_bytes_per_s
