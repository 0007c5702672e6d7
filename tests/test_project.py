"""The rules of the project that no linter knows: bans, sizes, and what may import what."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from hexplan import errors
from hexplan.cli.app import EXIT_CODES
from hexplan.reading.schema import DESCRIBED, schema_json

ROOT = Path(__file__).parents[1]
PACKAGES = ("hexplan", "hexplan_solver", "hexplan_runtime")
CODE = tuple(
    path
    for folder in ("hexplan", "solver", "runtime", "scripts")
    for path in sorted((ROOT / folder).rglob("*.py"))
)
MAX_FILE_LINES = 300
MAX_README_LINES = 120
MAX_MODULES = 20
HEAVY = ("torch", "transformers", "pulp", "highspy", "scipy", "networkx", "matplotlib")

BANS = {
    r"(?<![\w.])eval\(": "eval runs text as code",
    r"(?<![\w.])exec\(": "exec runs text as code",
    r"\b(import|from) pickle\b|\bpickle\.": "pickle runs what it reads",
    r"\btorch\.load\(": "torch.load unpickles",
    r"\byaml\.(load|full_load|unsafe_load|safe_load)\(": "only the hardened loader reads YAML",
    r"\bshell=True": "a shell splits what it is given",
    r"\b\w+_object_list\(": "object collectives unpickle what a peer sends",
    r"\b(all_gather|gather)_object\(": "object collectives unpickle what a peer sends",
    r"\btrust_remote_code=True": "a model folder would run its own code",
    r"[\"'](0\.0\.0\.0|::)[\"']": "a wildcard bind listens to everyone",
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported_by(statement: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_no_folder_holds_more_modules_than_fit_a_head() -> None:
    held = Counter(path.parent for path in CODE if path.name != "__init__.py")
    assert [name_of(folder) for folder, count in held.items() if count > MAX_MODULES] == []


@pytest.mark.parametrize("pattern", BANS, ids=BANS.values())
def test_banned_constructs_stand_nowhere_in_the_code(pattern: str) -> None:
    found = [
        f"{name_of(path)}:{number}"
        for path in CODE
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert not found


@pytest.mark.parametrize(
    ("line", "is_banned"),
    [
        ("eval(text)", True),
        ("model.eval()", False),  # a module's own method
        ("literal_eval(text)", False),
        ("import pickle", True),
        ("yaml.safe_load(text)", True),
        ("dist.broadcast_object_list(parts)", True),
        ('bind("0.0.0.0")', True),
        ('bind("10.0.0.0")', False),  # not the wildcard address
    ],
)
def test_the_bans_see_what_they_should(line: str, is_banned: bool) -> None:
    assert any(re.search(pattern, line) for pattern in BANS) == is_banned


def test_a_broad_except_stands_only_where_the_command_line_or_a_thread_ends() -> None:
    """Callers of the engine hear of its end, and a stage that cannot start is tried again."""
    found = [name_of(path) for path in CODE if any(map(swallows_anything, handlers(path)))]
    assert found == [
        "hexplan/cli/__init__.py",
        "runtime/hexplan_runtime/engine/core.py",
        "runtime/hexplan_runtime/launch/stage_start.py",
    ]


def handlers(path: Path) -> list[ast.ExceptHandler]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return [node for node in nodes if isinstance(node, ast.ExceptHandler)]


def swallows_anything(handler: ast.ExceptHandler) -> bool:
    """Say whether a handler takes every error and does not end by raising it again."""
    caught = "BaseException" if handler.type is None else ast.unparse(handler.type)
    is_broad = bool(re.search(r"\b(Base)?Exception\b", caught))
    return is_broad and not isinstance(handler.body[-1], ast.Raise)


def test_no_code_file_grows_beyond_its_limit() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in CODE}
    assert {name: n for name, n in lengths.items() if n > MAX_FILE_LINES} == {}


def test_the_readme_fits_on_a_page() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= MAX_README_LINES


def test_help_needs_no_solver_and_no_torch() -> None:
    loaded = imported_by("import hexplan.cli; hexplan.cli.run(['--help'])")
    assert not loaded & {*HEAVY, "hexplan_solver", "hexplan_runtime"}


def test_the_check_needs_no_solver_and_no_torch() -> None:
    loaded = imported_by("import hexplan.check, hexplan.plan_file")
    assert not loaded & {*HEAVY, "hexplan_solver", "hexplan_runtime"}


def test_a_simulation_without_a_plot_imports_no_matplotlib() -> None:
    loaded = imported_by("import hexplan.render, hexplan_solver.simulate")
    assert "matplotlib" not in loaded


def test_the_solver_needs_no_torch() -> None:
    loaded = imported_by("import hexplan_solver, hexplan.reading")
    assert not loaded & {"torch", "transformers", "safetensors", "hexplan_runtime"}


def test_planning_alone_installs_neither_torch_nor_transformers() -> None:
    requirements = [Requirement(text) for text in distribution("hexplan").requires or ()]
    needed = {r.name for r in requirements if not r.marker or r.marker.evaluate({"extra": ""})}
    assert {"pydantic", "pulp", "typer"} <= needed
    assert not needed & {"torch", "transformers", "safetensors", "pytest"}
    assert "matplotlib" not in needed


def test_the_runtime_extra_pins_torch() -> None:
    requirements = [Requirement(text) for text in distribution("hexplan").requires or ()]
    extra = {
        r.name: str(r.specifier)
        for r in requirements
        if r.marker and r.marker.evaluate({"extra": "runtime"})
    }
    assert extra["torch"] == "==2.13.0"


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_comes_from_the_installed_distribution(package: str) -> None:
    """Of a wheel the files are its own; of an editable install they are the source tree's."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    installed = distribution("hexplan")
    direct = json.loads(installed.read_text("direct_url.json") or "{}")
    if direct.get("dir_info", {}).get("editable"):
        assert Path(spec.origin).is_relative_to(ROOT)
    else:
        owned = {Path(str(file.locate())).resolve() for file in installed.files or ()}
        assert Path(spec.origin).resolve() in owned
        assert Path(spec.origin).with_name("py.typed").resolve() in owned


def test_the_lock_pins_every_dependency_of_the_project() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = {line.partition("==")[0].lower().replace("_", "-"): line for line in lines}
    for text in distribution("hexplan").requires or ():
        requirement = Requirement(text)
        pin = pins[requirement.name.lower().replace("_", "-")]
        assert requirement.specifier.contains(pin.partition("==")[2]), text


def test_the_exit_codes_of_the_help_are_those_of_the_errors() -> None:
    told = {int(code) for code in re.findall(r"^ +(\d+)  ", EXIT_CODES, re.MULTILINE)}
    classes = [errors.HexplanError, *_subclasses(errors.HexplanError)]
    assert {c.exit_code for c in classes} <= told
    assert told == {0, 1, 2, 3, 4, 5, 6, 7, 130}


@pytest.mark.parametrize("name", DESCRIBED)
def test_each_schema_of_the_reference_is_what_the_code_says(name: str) -> None:
    """`make reference` writes them."""
    assert (ROOT / "docs" / "reference" / f"{name}.schema.json").read_text() == schema_json(name)


def _subclasses(base: type) -> list[type]:
    return [c for child in base.__subclasses__() for c in (child, *_subclasses(child))]
