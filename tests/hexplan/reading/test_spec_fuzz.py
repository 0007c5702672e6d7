from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.specs import TWO_NODES, spec_of

from hexplan.errors import HexplanError

RICH = (
    TWO_NODES.replace("name: small", "name: small-[0-2]\n    address: 10.0.0.[1-3]")
    .replace("llama-2-7b", "{name: llama-2-7b, dtype: float16}")
    .replace("nic: 25Gbps", "nic: {in: 1Gbps, out: 2GB/s}")
    + """\
  - {between: [big, 'small-[0-1]'], bandwidth: 1Gbps, latency: 0s}
  - {from: coordinator, to: big, bandwidth: 1MB/s, latency: 1us, trunk: 9MB/s}
devices:
  L4: &l4 {memory: 20GiB}
  T4: *l4
pin: [{host: big, layers: [0, 9]}, {exclude: small-2/0}, {same_stage: [big/0, big/1]}]
limits: {time: 5s, memory_fraction: 80%}
objective: throughput
"""
)
LINES = RICH.splitlines()
SNIPPETS = (
    *("", "null", "-1", "0", "1e400", ".nan", "9" * 30, "true", "[]", "{}", "[1]", "{a: b}"),
    *("*l4", "&x 1", "!!str 1", "---", "\t", "\0", "'", '"', "[", "}", ": ", "- ", "# ", "? "),
    *("a-[0-9]", "a-[9-0]", "[", "big", "lab", "coordinator", "25", "25gbps", "0Gbps", "\ud800"),
    *("9999 x L4", "L4", "host/99999", "1" * 5000, "\N{ARABIC-INDIC DIGIT FIVE}", "\u2028"),
)


def read(text: str) -> None:
    """Read a text; anything but one of our errors for bad input fails the test."""
    try:
        spec = spec_of(text, Path("nowhere"))
    except HexplanError as error:
        assert error.exit_code == 2
        assert error.message.startswith("nowhere/cluster.yaml")
        error.message.encode()
    else:
        assert spec.cluster.model_validate_json(spec.cluster.model_dump_json()) == spec.cluster


def test_the_start_of_all_mutations_is_sound() -> None:
    assert len(spec_of(RICH).cluster.hosts) == 4


@given(
    st.integers(0, len(RICH)),
    st.integers(0, 12),
    st.sampled_from(SNIPPETS) | st.text(max_size=6),
)
def test_no_change_of_a_few_characters_raises_anything_but_our_errors(
    start: int, length: int, snippet: str
) -> None:
    read(RICH[:start] + snippet + RICH[start + length :])


@given(st.integers(0, len(LINES) - 1), st.sampled_from(SNIPPETS), st.booleans())
def test_no_change_of_a_value_raises_anything_but_our_errors(
    index: int, snippet: str, is_cut: bool
) -> None:
    name, colon, _ = LINES[index].partition(": ")
    changed = name + colon + snippet
    read("\n".join([*LINES[:index], changed, *([] if is_cut else LINES[index + 1 :])]))


@given(st.permutations(range(len(LINES))), st.integers(0, len(LINES)))
def test_no_order_of_the_lines_raises_anything_but_our_errors(order: list[int], most: int) -> None:
    read("\n".join(LINES[index] for index in order[:most]))


# Any value at all in the place of each field at the top.
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["big", "lab", "1Gbps", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "site", "host", "layers", "path", "within", "nic", "mean"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
FIELDS = [line.partition(":")[0] for line in LINES if line[0].isalpha()]


def as_flow(value: object) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {as_flow(part)}' for name, part in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(as_flow, value))}]"
    return "null" if value is None else str(value)


@pytest.mark.parametrize("field", FIELDS)
@given(value=values)
def test_no_value_of_a_field_raises_anything_but_our_errors(field: str, value: object) -> None:
    kept, is_kept = [], True
    for line in LINES:
        is_kept = not line.startswith(f"{field}:") if line[0].isalpha() else is_kept
        kept += [line] if is_kept else []
    read("\n".join([*kept, f"{field}: {as_flow(value)}"]))
