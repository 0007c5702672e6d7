"""Copying to each host the files of a model that its stages need."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from support.across import plan_across

from hexplan.errors import InputError
from hexplan.model import Model
from hexplan.plan import Plan
from hexplan_runtime.agent.weights import write_index
from hexplan_runtime.agent.weights_messages import FileWanted, FolderTask
from hexplan_runtime.launch.places import Hosts
from hexplan_runtime.launch.push_weights import Pushed, WeightsPusher
from hexplan_runtime.model.model_files import place_weights
from hexplan_runtime.model.needed_files import missing_files, needed_weights, require_layers
from hexplan_runtime.probe.reach import Reach

INDEX = "model.safetensors.index.json"
ADDRESSES = ("192.0.2.7", "192.0.2.8")
"""Addresses of documentation, which are no machine's."""
STAGES = [((0, 3), (1,)), ((3, 4), (1,))]
NEEDED = [
    {f"model-{part}.safetensors" for part in ("0", "1", "2", "tables")},
    {"model-3.safetensors", "model-tables.safetensors"},
]


@pytest.fixture(scope="module")
def sharded(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the model with a file for each layer, and one for what is in no layer."""
    folder = tmp_path_factory.mktemp("sharded")
    weights = load_file(llama / "model.safetensors")
    places: dict[str, str] = {}
    for name in weights:
        layer = re.search(r"layers\.(\d+)\.", name)
        places[name] = f"model-{layer[1] if layer else 'tables'}.safetensors"
    for file in set(places.values()):
        save_file({n: t for n, t in weights.items() if places[n] == file}, folder / file)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    for path in llama.glob("*.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def plan(llama_model: Model) -> Plan:
    return plan_across(llama_model, STAGES, ADDRESSES)


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    """Return hosts that are this machine, with a home of their own for each address."""
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\nexport HOME="{tmp_path}/$1"\nmkdir -p "$HOME"\nshift\nexec "$@"\n')
    ssh.chmod(0o755)
    return Hosts(Reach((str(ssh),), sys.executable), model_folder=Path("~/model"))


def folders(tmp_path: Path) -> list[Path]:
    return [tmp_path / address / "model" for address in ADDRESSES]


def pushed(plan: Plan, hosts: Hosts, folder: Path) -> list[Pushed]:
    return list(WeightsPusher(plan, hosts, folder).push())


def weights_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


def size_of(folder: Path, names: set[str]) -> int:
    beside = [path.name for path in folder.glob("*.json") if path.name != INDEX]
    return sum((folder / name).stat().st_size for name in (*names, *beside))


def test_each_host_gets_what_its_stages_need_and_a_second_call_copies_nothing(
    plan: Plan, hosts: Hosts, sharded: Path, tmp_path: Path
) -> None:
    whole = weights_in(sharded)
    for is_first in (True, False):
        found = pushed(plan, hosts, sharded)
        sizes = [size_of(sharded, needed) for needed in NEEDED]
        assert [one.problem for one in found] == [None, None]
        assert [one.copied_bytes for one in found] == (sizes if is_first else [0, 0])
        assert [one.present_bytes for one in found] == ([0, 0] if is_first else sizes)
    for index, (folder, needed) in enumerate(zip(folders(tmp_path), NEEDED, strict=True)):
        assert weights_in(folder) == {name: whole[name] for name in needed}
        assert missing_files(folder) == ()
        places = place_weights(folder)
        require_layers([plan.stages[index].layers], places)
        assert needed_weights(plan, [index], places) == needed
        with pytest.raises(InputError, match="found no weights of layers"):
            require_layers([plan.stages[1 - index].layers], places)


@pytest.mark.slow
def test_another_plan_adds_what_it_needs(
    plan: Plan, llama_model: Model, hosts: Hosts, sharded: Path, tmp_path: Path
) -> None:
    pushed(plan, hosts, sharded)
    other = plan_across(llama_model, [((0, 1), (1,)), ((1, 4), (1,))], ADDRESSES)
    first, second = pushed(other, hosts, sharded)
    assert first.copied_bytes == 0
    added = {"model-1.safetensors", "model-2.safetensors"}
    assert second.copied_bytes == sum((sharded / name).stat().st_size for name in added)
    kept, filled = map(place_weights, folders(tmp_path))
    require_layers([plan.stages[0].layers], kept)  # the plan before still runs
    require_layers([other.stages[1].layers], filled)


@pytest.mark.slow
@pytest.mark.parametrize(("is_right", "saves"), [(True, 1000), (False, 0)])
def test_a_call_that_was_cut_off_goes_on_unless_what_is_there_is_wrong(
    plan: Plan, hosts: Hosts, sharded: Path, tmp_path: Path, is_right: bool, saves: int
) -> None:
    folder = folders(tmp_path)[1]
    folder.mkdir(parents=True)
    begun = (sharded / "model-3.safetensors").read_bytes()[:1000] if is_right else bytes(1000)
    (folder / ".model-3.safetensors.part").write_bytes(begun)
    found = pushed(plan, hosts, sharded)[1]
    assert found.problem is None
    assert found.copied_bytes == size_of(sharded, NEEDED[1]) - saves
    assert weights_in(folder).keys() == NEEDED[1]
    whole = weights_in(sharded)
    assert all(data == whole[name] for name, data in weights_in(folder).items())


def test_a_disk_that_fills_up_is_named_and_the_next_call_goes_on(
    plan: Plan, hosts: Hosts, sharded: Path, tmp_path: Path
) -> None:
    """A limit on the size of files stands for the disk: what is written beyond it fails alike."""
    ssh = Path(hosts.reach.ssh[0])
    roomy = ssh.read_text()
    ssh.write_text(roomy.replace("shift", "shift; ulimit -f 16"))
    for one, folder in zip(pushed(plan, hosts, sharded), folders(tmp_path), strict=True):
        assert one.problem is not None
        assert one.problem.endswith("model: File too large")
        assert one.hint == "what has come of a file stays, and the next call goes on there"
        assert missing_files(folder)
        assert all(data == (sharded / n).read_bytes() for n, data in weights_in(folder).items())
    ssh.write_text(roomy)
    for one, needed in zip(pushed(plan, hosts, sharded), NEEDED, strict=True):
        assert one.problem is None
        assert one.copied_bytes < size_of(sharded, needed)


def test_a_file_of_another_model_stays_and_is_named(
    plan: Plan, hosts: Hosts, sharded: Path, tmp_path: Path
) -> None:
    name, folder = "model-3.safetensors", folders(tmp_path)[1]
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"mine")
    found = pushed(plan, hosts, sharded)[1]
    assert found.problem is not None
    assert found.problem.endswith(f"found other files: {name}")
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_bytes() == b"mine"


def test_a_host_that_cannot_be_reached_is_named(plan: Plan, sharded: Path, tmp_path: Path) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho 'ssh: connect to host: Connection refused' >&2; exit 255\n")
    ssh.chmod(0o755)
    for one in pushed(plan, Hosts(Reach((str(ssh),), "python3")), sharded):
        assert one.problem == "ssh: connect to host: Connection refused"
        assert one.hint is not None


@pytest.mark.parametrize("name", ["", "../x", "/etc/x", "a/b", ".bashrc", "-x", "a b", "a\nb"])
def test_a_name_that_leaves_the_folder_or_hides_in_it_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        FileWanted(name=name, size_bytes=1, sha256="")


def test_an_index_of_another_model_stays(tmp_path: Path) -> None:
    index = tmp_path / INDEX
    whole = json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})
    file = FileWanted(name="one.safetensors", size_bytes=0, sha256="")
    task = FolderTask(folder=str(tmp_path), files=(file,), others=(), index=whole)
    for words in ('{"weight_map": {"c": "one.safetensors"}}', "torn", "[]", '{"weight_map": 1}'):
        index.write_text(words)
        problem = write_index(tmp_path, task)
        assert problem is not None
        assert "the index of another model" in problem
        assert index.read_text() == words
    index.unlink()
    assert write_index(tmp_path, task) is None
    assert json.loads(index.read_text())["weight_map"] == {"a": "one.safetensors"}


def test_what_is_missing_is_told_with_what_copies_it(
    plan: Plan, sharded: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    assert missing_files(folder) == ("config.json", "model.safetensors")
    folder.mkdir()
    for path in sharded.iterdir():
        if path.name != "model-2.safetensors":
            (folder / path.name).write_bytes(path.read_bytes())
    assert missing_files(folder) == ("model-2.safetensors",)
