"""Files that a cluster.yaml names: whatever they hold, an error quotes none of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.specs import TWO_NODES, two_nodes

from hexplan.errors import InputError, SpecError
from hexplan.reading import read_spec

SECRET = "hunter2"
LENGTHS = "  prompt_tokens: {mean: 512, max: 1024}\n  output_tokens: 128\n"

# What a file holds that is no profile, overlay, trace or config.json, and why.
NO_SUCH_FILE = [
    f"{SECRET}\n",  # text
    f"root:x:0:0:{SECRET}:/root:/bin/sh\n",  # a line of /etc/passwd
    f"- {SECRET}\n",  # a list
    f"key: !{SECRET} 1\n",  # a tag
    f"{SECRET}: 1\n{SECRET}: 2\n",  # a field twice
    f"{SECRET}: 1\n",  # a mapping of another kind
    f"version: {SECRET}\n",  # likewise
    f"key: *{SECRET}\n",  # an alias to nothing
    f'key: "\\{SECRET}"\n',  # an escape that YAML does not have
    f"%{SECRET} 1\n---\n",  # a directive that YAML does not have
    f'{{"{SECRET}": 1, "{SECRET}": 2}}\n',  # JSON with a name twice
    f'"{SECRET}"',  # JSON that is text
    f'{{"{SECRET}',  # JSON that ends early
]


def _refusal(folder: Path, text: str) -> InputError:
    (folder / "cluster.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_spec(folder / "cluster.yaml")
    return caught.value


@pytest.mark.parametrize("content", NO_SUCH_FILE)
@pytest.mark.parametrize(
    "text",
    [
        f"{TWO_NODES}profiles: secret\n",
        f"{TWO_NODES}overlays: [secret]\n",
        two_nodes(LENGTHS, "  trace: secret\n"),
        two_nodes("model: llama-2-7b", "model: {path: folder}"),
    ],
    ids=["profile", "overlay", "trace", "model"],
)
def test_an_error_quotes_nothing_of_a_file_of_another_kind(
    tmp_path: Path, text: str, content: str
) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("secret", "folder/config.json"):
        (tmp_path / name).write_text(content)
    error = _refusal(tmp_path, text)
    assert SECRET not in f"{error.message} {error.hint}"
    assert "secret" in error.message or "config.json" in error.message


@pytest.mark.parametrize(
    ("content", "where", "needed"),
    [
        ("a: 1\nb: 1\nb: 2\n", "profile.yaml:3", "each field once"),
        ("a: [1, 2\n", "profile.yaml:2", "needed YAML"),
        ("a: 1\nb: 99999999999999999999\n", "profile.yaml:2", "at most 18 digits"),
        ("version: 1\nmodel: m\n", "profile.yaml", "it lacks `stages`"),
    ],
)
def test_an_unreadable_profile_is_reported_with_both_places(
    tmp_path: Path, content: str, where: str, needed: str
) -> None:
    (tmp_path / "profile.yaml").write_text(content)
    error = _refusal(tmp_path, f"{TWO_NODES}profiles: profile.yaml\n")
    assert isinstance(error, SpecError)
    assert error.where.endswith("profiles")
    assert f"{where}: this is not a profile" in error.problem
    assert needed in error.problem


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["fifo", "/dev/stdin", "/dev/fd/0", "/dev/zero"])
@pytest.mark.parametrize(
    "text",
    [
        f"{TWO_NODES}profiles: NAME\n",
        f"{TWO_NODES}overlays: [NAME]\n",
        two_nodes(LENGTHS, "  trace: NAME\n"),
    ],
    ids=["profile", "overlay", "trace"],
)
def test_a_path_that_is_not_a_file_is_refused_at_once(tmp_path: Path, text: str, name: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    error = _refusal(tmp_path, text.replace("NAME", name))
    assert "needed a regular file" in error.message or "needed the path of a file" in error.message
