"""Two hosts that answer ssh, and one launch over them that is up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.across import plan_across
from support.launched import Running, launched
from support.ssh_hosts import SshHosts, ssh_hosts

from hexplan.model import Model
from hexplan.plan import Plan


@pytest.fixture(scope="package")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshHosts]:
    with ssh_hosts(2, tmp_path_factory.mktemp("hosts")) as made:
        yield made


@pytest.fixture(scope="package")
def plan(hosts: SshHosts, llama_model: Model) -> Plan:
    """Return a plan of two stages, the first on two devices."""
    return plan_across(llama_model, [((0, 2), (2, 1)), ((2, 4), (1,))], hosts.addresses)


@pytest.fixture(scope="module")
def running(hosts: SshHosts, plan: Plan, llama: Path) -> Iterator[Running]:
    with launched(hosts, plan, llama) as coordinator:
        yield Running(hosts, plan, coordinator)
