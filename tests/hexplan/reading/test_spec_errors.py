from __future__ import annotations

from pathlib import Path

import pytest
from support.bad_specs import BAD_FIELDS
from support.specs import TWO_NODES, spec_of, two_nodes

from hexplan.errors import InputError, SpecError
from hexplan.reading import read_spec


@pytest.mark.parametrize(
    ("old", "new", "line", "phrase"), BAD_FIELDS, ids=[row[3] for row in BAD_FIELDS]
)
def test_a_bad_field_is_refused_with_its_line(old: str, new: str, line: int, phrase: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(two_nodes(old, new))
    assert caught.value.message.startswith(f"cluster.yaml:{line}: ")
    assert phrase in caught.value.message
    assert caught.value.exit_code == 2


# What is replaced in TWO_NODES and by what, and what the hint says.
HINTS = [
    ("name: two-nodes", "nam: two-nodes", "did you mean `name`?"),
    ("within: lab", "withn: lab", "did you mean `within`?"),
    ("{site: lab, nic", "{site: lab, 1 x T4, nic", "write a list: `[..., 1 x T4]`"),
    ("name: small", "nmae: small", "did you mean `name`?"),
    ("{mean: 512", "{meen: 512", "did you mean `mean`?"),
    ("version: 1", "version: 2", "upgrade hexplan"),
    ("version: 1", "version: x", "this format is version 1"),
    ("name: two-nodes", "name: 7", 'put it in quotes: "7"'),
    ("name: two-nodes", "name:", "give it a value, or remove the line"),
    ("nic: 25Gbps", "nic: 25", "write `25Gbps` for bits or `3.1GB/s` for bytes"),
    ("    nic: 25Gbps\n", "", "`nic`: What all links of the host carry together"),
    ("devices: L4", "devices: L4x", "did you mean `L4`"),
    ("devices: L4", "devices: L44", "L44: {kind: cuda, memory: 80GiB, memory_bandwidth: 2TB/s"),
    ("devices: L4", "devices: Zxqv", "there is no default"),
    ("within: lab", "within: lap", "did you mean `lab`?"),
    ("within: lab", "between: [bog, lab]", "did you mean `big`"),
    ("model: llama-2-7b", "model: llama-2-8b", "`llama-2-7b`"),
    ("    interconnect: nvlink\n", "", "`interconnect: nvlink`, `pcie4`, or"),
    ("devices: L4", "devices: 2 x T4\n    interconnect: nvlink", "write `{bandwidth: 15.75GB/s"),
    ("within: lab", "between: [a-[0-1], lab]", "put a range in quotes"),
    ("within: lab", "between: [big, small]", "`within: lab` joins it with the hosts of its own"),
]


@pytest.mark.parametrize(("old", "new", "hint"), HINTS)
def test_a_bad_field_comes_with_a_hint(old: str, new: str, hint: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(two_nodes(old, new))
    assert caught.value.hint is not None
    assert hint in caught.value.hint


def test_all_bad_fields_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = two_nodes("nic: 25Gbps", "nic: 25").replace("0.1ms", "0.1").replace("two-nodes", "7")
    with pytest.raises(SpecError) as caught:
        spec_of(text)
    assert caught.value.message.splitlines() == [
        "cluster.yaml:2: name: found 7, needed text",
        "cluster.yaml:12: hosts[0].nic: found 25, needed a bandwidth with its unit",
        "cluster.yaml:21: links[0].latency: found 0.1, needed a time with its unit",
    ]


def test_a_file_full_of_errors_is_cut_short() -> None:
    hosts = "".join(f"  - {{name: h{n}, site: lab, devices: L4, nic: 1}}\n" for n in range(40))
    with pytest.raises(SpecError) as caught:
        spec_of(two_nodes("coordinator:", hosts + "coordinator:"))
    *shown, last = caught.value.message.splitlines()
    assert len(shown) == 10
    assert last == "and 30 more"


def test_an_entry_that_is_wrong_does_not_make_its_list_too_short() -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(two_nodes("devices: L4", "devices: [7]"))
    assert caught.value.message == "cluster.yaml:15: hosts[1].devices[0]: found 7, needed text"


def test_a_trunk_belongs_to_one_pair_of_ends() -> None:
    rule = "  - {between: [coordinator, 'a-[0-1]'], bandwidth: 1Gbps, latency: 1ms, trunk: 1Gbps}\n"
    text = two_nodes("name: small", "name: a-[0-1]") + rule
    with pytest.raises(SpecError) as caught:
        spec_of(text)
    assert caught.value.where == "cluster.yaml:22: links[1].trunk"
    assert caught.value.hint == "write the rule for the hosts' site"


def test_rules_for_too_many_pairs_are_refused() -> None:
    text = two_nodes("name: small", "name: a-[0-999]")
    with pytest.raises(SpecError, match="found 1000 x 1000 pairs, needed at most 100000"):
        spec_of(
            text + "  - {between: ['a-[0-999]', 'a-[0-999]'], bandwidth: 1Gbps, latency: 1ms}\n"
        )


def test_too_many_pairs_in_all_rules_are_refused() -> None:
    rules = [
        f"  - {{between: ['a-[{n}00-{n}99]', 'b-[0-499]'], bandwidth: 1Gbps, latency: 1ms}}\n"
        for n in range(1, 4)
    ]
    hosts = "  - {name: 'b-[0-499]', site: lab, devices: L4, nic: 1Gbps}\n"
    text = two_nodes("name: small", "name: a-[100-999]")
    with pytest.raises(SpecError, match="found more than 100000 pairs in all rules"):
        spec_of(text.replace("coordinator:", f"{hosts}coordinator:") + "".join(rules))


def test_too_many_hosts_are_refused() -> None:
    hosts = "".join(
        f"  - {{name: 'h{n}-[0-4095]', site: lab, devices: L4, nic: 1Gbps}}\n" for n in range(3)
    )
    with pytest.raises(SpecError, match="found more than 10000 hosts"):
        spec_of(two_nodes("coordinator:", f"{hosts}coordinator:"))


def test_absurd_sizes_of_a_model_are_refused() -> None:
    numbers = (
        "{name: x, family: llama, layers: 4000000, hidden: 8, heads: 2, kv_heads: 1, head_dim: 4,"
        " ffn: 8, vocab: 8, dtype: float16, max_context: 64}"
    )
    with pytest.raises(SpecError, match="found layers 4000000, needed at most 1000"):
        spec_of(two_nodes("llama-2-7b", numbers))


def test_heads_that_do_not_form_groups_are_refused_with_the_line_of_the_model() -> None:
    numbers = (
        "{name: x, family: llama, layers: 4, hidden: 8, heads: 3, kv_heads: 2, head_dim: 4,"
        " ffn: 8, vocab: 8, dtype: float16, max_context: 64}"
    )
    with pytest.raises(SpecError) as caught:
        spec_of(two_nodes("llama-2-7b", numbers))
    assert caught.value.where == "cluster.yaml:3: model"
    assert "heads (3) must be a multiple of kv_heads (2)" in caught.value.problem


def test_a_bad_config_json_is_reported_at_the_line_of_the_model(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text('{"a": }')
    with pytest.raises(SpecError) as caught:
        spec_of(two_nodes("llama-2-7b", "mine"), tmp_path)
    assert caught.value.where == f"{tmp_path}/cluster.yaml:3: model"
    assert "config.json:1:7: this is not a model's config.json" in caught.value.problem
    assert "needed JSON" in caught.value.problem


PROFILE = """\
version: 1
model: llama-2-7b
source: made up
stages:
  - device: L4
    tp: 1
    tokens_per_s: [100, 50.5]
"""

# What is replaced in PROFILE and by what, the line that the error names, and a phrase of it.
BAD_PROFILES = [
    ("version: 1", "version: 9", 1, "found 9, needed 1, the newest"),
    ("llama-2-7b", "llama-2-70b", 2, "model: found 'llama-2-70b', needed 'llama-2-7b'"),
    ("source: made up\n", "", 1, "the field `source` is missing"),
    ("device: L4", "device: L5", 5, "found the unknown device type 'L5'"),
    ("tp: 1", "tp: 0", 6, "stages[0].tp: found 0, needed > 0"),
    ("tp: 1", "tpp: 1", 6, "stages[0].tpp: unknown field"),
    ("50.5", "0", 7, "stages[0].tokens_per_s[1]: found 0, needed >= 1e-06"),
    ("50.5", "50 tokens/s", 7, "found '50 tokens/s', needed a number"),
    ("[100, 50.5]", "[]", 7, "needed at least 1 entries"),
    ("[100, 50.5]", str([1.0] * 33), 7, "found 33 speeds, needed at most 32"),
    (
        "    tp: 1\n",
        "    tp: 1\n    tokens_per_s: [1]\n  - device: l4\n    tp: 1\n",
        8,
        "stages[1]: found 1 x L4 twice",
    ),
]


@pytest.mark.parametrize(("old", "new", "line", "phrase"), BAD_PROFILES)
def test_a_bad_profile_is_refused_with_its_own_line(
    tmp_path: Path, old: str, new: str, line: int, phrase: str
) -> None:
    assert PROFILE.count(old) == 1
    (tmp_path / "p.yaml").write_text(PROFILE.replace(old, new))
    with pytest.raises(SpecError) as caught:
        spec_of(f"{TWO_NODES}profiles: p.yaml\n", tmp_path)
    assert caught.value.message.startswith(f"{tmp_path}/p.yaml:{line}: ")
    assert phrase in caught.value.message


def test_a_missing_cluster_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cluster\.yaml: cannot read it: No such file"):
        read_spec(tmp_path / "cluster.yaml")
