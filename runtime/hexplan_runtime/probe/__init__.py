"""Probing: what each host has, and what the links between them really carry."""

from hexplan_runtime.net.addresses import LOOPBACK, local_address
from hexplan_runtime.probe.reach import HostAddress, Reach
from hexplan_runtime.probe.surveying import LinkListener, ProbeJob, survey
from hexplan_runtime.processes.command import SSH

__all__ = [
    "LOOPBACK",
    "SSH",
    "HostAddress",
    "LinkListener",
    "ProbeJob",
    "Reach",
    "local_address",
    "survey",
]
