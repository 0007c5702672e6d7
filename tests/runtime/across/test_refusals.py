"""What a plan's addresses, ssh and other people's files may not do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.across import plan_across
from support.runtime_plans import make_plan
from support.ssh_hosts import SshHosts

from hexplan.errors import HexplanError, InputError, LaunchError
from hexplan.model import Model
from hexplan.plan import Plan
from hexplan_runtime.control.client import ask_launch
from hexplan_runtime.control.messages import Answer, Ask
from hexplan_runtime.control.places import control_folder, new_socket
from hexplan_runtime.control.server import ControlServer
from hexplan_runtime.launch.dry_run import planned_starts
from hexplan_runtime.launch.explaining import explain_words
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.launch.places import Hosts, has_addresses, host_places
from hexplan_runtime.probe.reach import Reach

TWO = [((0, 2), (1,)), ((2, 4), (1,))]


def across(model: Model, *addresses: str) -> Plan:
    return plan_across(model, TWO, addresses)


@pytest.mark.parametrize(
    "address",
    ["-oProxyCommand=touch /tmp/owned", "h;id", "$(id)", "a b", "", "::1 -v", "../x", "h\nid"],
)
def test_hostile_addresses_are_refused_before_any_ssh(llama_model: Model, address: str) -> None:
    with pytest.raises(InputError, match="needed an IP or DNS name"):
        host_places(across(llama_model, "10.0.0.1", address), Reach())


def test_public_addresses_are_refused(llama_model: Model) -> None:
    with pytest.raises(InputError, match="public address 8.8.8.8"):
        host_places(across(llama_model, "10.0.0.1", "8.8.8.8"), Reach())


@pytest.mark.parametrize("python", ["python3;id", "$(id)", "-c", "a b", ""])
def test_a_hostile_python_is_refused(llama_model: Model, python: str) -> None:
    with pytest.raises(InputError, match="needed the path of a program"):
        host_places(across(llama_model, "10.0.0.1", "10.0.0.2"), Reach(python=python))


def test_two_hosts_at_one_address_are_refused(llama_model: Model) -> None:
    with pytest.raises(InputError, match="same address 10.0.0.1 twice"):
        host_places(across(llama_model, "10.0.0.1", "10.0.0.1"), Reach())


def test_hosts_have_addresses_all_or_none(llama_model: Model) -> None:
    plan = across(llama_model, "10.0.0.1", "10.0.0.2")
    assert has_addresses(plan)
    assert not has_addresses(make_plan(llama_model, TWO))
    first, second = plan.cluster.hosts
    hosts = (first, second.model_copy(update={"address": None}))
    half = plan.model_copy(update={"cluster": plan.cluster.model_copy(update={"hosts": hosts})})
    with pytest.raises(InputError, match="others without: bob"):
        has_addresses(half)


def test_a_dry_run_names_commands_ranks_and_ports(llama_model: Model) -> None:
    plan = across(llama_model, "10.0.0.1", "10.0.0.2")
    ada, bob = planned_starts(plan, Hosts(first_port=29500), Path("/models/tiny"))
    assert ada.argv[-6:] == (
        "--", "10.0.0.1", "python3", "-P", "-m", "hexplan_runtime.agent.main"
    )  # fmt: skip
    assert [(edge.source, edge.target, edge.port) for edge in ada.listens] == [
        ("entry", "s0", 29500),
        ("s1", "s0", 29503),
    ]
    assert [(edge.source, edge.target, edge.port) for edge in bob.listens] == [
        ("s0", "s1", 29501),
        ("s1", "exit", 29502),
    ]
    assert [(rank.stage, rank.rank) for rank in bob.ranks] == [("s1", 0)]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("me@10.0.0.1: Permission denied (publickey).", "ssh-copy-id 10.0.0.1"),
        ("Host key verification failed.", "compare its key"),
        ("ssh: connect to host 10.0.0.1 port 22: Connection refused", "start the ssh server"),
        ("ssh: connect to host 10.0.0.1 port 22: No route to host", "is the host on"),
        ("ssh: Could not resolve hostname h: Name or service not known", "in numbers"),
        ("sh: 1: python9: not found", "a Python of this name"),
        ("/usr/bin/python3: No module named hexplan_runtime", "hosts prepare"),
        ("unknown option -P", "Python 3.11"),
    ],
)
def test_what_ssh_and_shells_say_comes_with_what_helps(words: str, hint: str) -> None:
    found, helps = explain_words(f"Welcome!\n{words}\n", "10.0.0.1")
    assert found == words
    assert helps is not None
    assert hint in helps


@pytest.fixture
def runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "hexplan"


def test_a_control_socket_answers_its_owner_and_is_gone_afterwards(
    llama_model: Model, runtime_folder: Path
) -> None:
    plan = make_plan(llama_model, TWO)
    asked: list[Ask] = []

    def answer(ask: Ask) -> Answer:
        asked.append(ask)
        return Answer(problem="not now") if ask.ask == "drain" else Answer()

    with ControlServer(new_socket(plan), answer):
        assert runtime_folder.stat().st_mode & 0o777 == 0o700
        assert new_socket(plan).stat().st_mode & 0o777 == 0o600
        assert ask_launch(plan, Ask(ask="stop")) == Answer()
        assert ask_launch(None, Ask(ask="logs", of="s1")) == Answer()
        with pytest.raises(LaunchError, match="not now"):
            ask_launch(plan, Ask(ask="drain"))
    assert [one.ask for one in asked] == ["stop", "logs", "drain"]
    assert list(runtime_folder.iterdir()) == []
    with pytest.raises(InputError, match="found none running"):
        ask_launch(plan, Ask(ask="status"))


def test_a_control_folder_that_others_may_enter_is_refused(runtime_folder: Path) -> None:
    runtime_folder.mkdir(mode=0o755)
    runtime_folder.chmod(0o755)
    with pytest.raises(InputError, match="others own or may enter"):
        control_folder()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("python", "folder", "error", "said"),
    [
        ("/nowhere/python", None, LaunchError, r"host ada .*/nowhere/python"),
        (sys.executable, "/nowhere", InputError, r"host ada: /nowhere: not a model folder"),
    ],
)
def test_what_a_host_lacks_is_said_of_all_hosts(
    hosts: SshHosts,
    plan: Plan,
    llama: Path,
    python: str,
    folder: str | None,
    error: type[HexplanError],
    said: str,
) -> None:
    ssh = (*hosts.network.at_desk(), *hosts.ssh)
    reach = Hosts(Reach(ssh, python), model_folder=Path(folder) if folder else None)
    with pytest.raises(error, match=said) as raised, Pipeline(plan, llama, hosts=reach):
        pass
    assert "bob" in raised.value.message
    assert raised.value.hint is not None
