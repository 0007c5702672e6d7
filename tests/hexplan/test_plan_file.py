from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.plans import (
    mixed_stage_plan,
    profiled_plan,
    resealed,
    two_hosts_plan,
    two_sites_plan,
)
from support.specs import TWO_NODES, spec_of

from hexplan.errors import HexplanError, InputError, SpecError
from hexplan.plan import Plan, SolveInfo
from hexplan.plan_file import plan_json, read_plan, write_plan
from hexplan.predicted import Predicted

PLANS = (two_hosts_plan, profiled_plan, two_sites_plan, mixed_stage_plan)
TEXT = plan_json(two_hosts_plan())

exact = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(-exponent),
    st.integers(0, 10**15 - 1),
    st.integers(0, 12),
)


def round_trip(plan: Plan) -> Plan:
    with TemporaryDirectory() as folder:
        write_plan(plan, Path(folder) / "plan.json")
        return read_plan(Path(folder) / "plan.json")


def read_text(text: str) -> Plan:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "plan.json"
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        return read_plan(path)


def refusal(text: str) -> str:
    """Return the message that reading a text ends with, without the folder."""
    with pytest.raises(InputError) as caught:
        read_text(text)
    return caught.value.message.partition("plan.json")[2]


@pytest.mark.parametrize("plan", PLANS)
def test_a_plan_comes_back_as_it_was_written(plan: Callable[[], Plan]) -> None:
    assert round_trip(plan()) == plan()
    assert plan_json(round_trip(plan())) == plan_json(plan())


@given(
    tokens_per_s=exact,
    requests_per_s=exact,
    name=st.text(max_size=8),
    wall_s=st.floats(0, 1e9),
)
def test_no_value_changes_on_the_way_through_a_file(
    tokens_per_s: Decimal, requests_per_s: Decimal, name: str, wall_s: float
) -> None:
    plan = resealed(two_hosts_plan(), name=name).model_copy(
        update={
            "predicted": Predicted(
                tokens_per_s=tokens_per_s,
                requests_per_s=requests_per_s,
                least_tokens_per_s=tokens_per_s,
                most_tokens_per_s=requests_per_s,
                rests_on=(),
            ),
            "solve": SolveInfo(wall_s=wall_s, seed=1, versions={name: "1"}),
        }
    )
    back = read_text(plan_json(plan))
    assert back == plan
    assert plan_json(back) == plan_json(plan)


def test_the_hash_of_a_cluster_survives_the_file() -> None:
    cluster = spec_of(TWO_NODES).cluster
    back = round_trip(
        two_hosts_plan().model_copy(update={"cluster": cluster, "cluster_sha256": cluster.sha256})
    )
    assert back.cluster == cluster
    assert back.cluster.sha256 == back.cluster_sha256 == cluster.sha256


def test_the_text_ends_with_a_newline_and_names_edges_by_from_and_to() -> None:
    assert TEXT.endswith("}\n")
    edge = json.loads(TEXT)["edges"][0]
    assert (edge["from"], edge["to"]) == ("entry", "s0")
    assert "source" not in edge


# What is replaced in the text of a plan and by what, and what the message says after the file name.
BAD_PLANS = [
    (
        '"version": 1,',
        '"version": 2,',
        ": version: found 2, needed 1, the newest that this hexplan",
    ),
    ('"version": 1,', '"version": "1",', ": version: found '1', needed 1"),
    ('"version": 1,', '"version": true,', ": version: found true, needed 1"),
    ('"version": 1,', "", ": version: found nothing, needed 1"),
    ('"version": 1,', '"version": 1, "version": 1,', ":2:16: found the name 'version' twice"),
    ('"version": 1,', '"version": 1, "sttages": [],', ": sttages: unknown field"),
    ('"objective": "throughput"', '"objective": 7', ": objective: found 7, needed 'balanced'"),
    ('"id": "s0"', '"id": 0', ": stages[0].id: found 0, needed text"),
    ('"id": "s0",', "", ": stages[0]: the field `id` is missing"),
    ('"from": "entry"', '"source": "entry"', ": edges[0]: the field `from` is missing"),
    ('"from": "entry"', '"from": "entry", "source": "s0"', ": edges[0].source: unknown field"),
    ('"seed": 0', '"seed": NaN', "found 'NaN', needed a finite number"),
    ('"seed": 0', '"seed": 1e999', "found '1e999', needed a finite number"),
    ('"seed": 0', '"seed": 0.5', ": solve.seed: "),
    ('"reason": "by hand"', '"reason": "by \\ud800 hand"', "Invalid JSON"),
]


@pytest.mark.parametrize(("old", "new", "phrase"), BAD_PLANS)
def test_a_bad_plan_is_refused_with_its_field(old: str, new: str, phrase: str) -> None:
    assert TEXT.count(old) == 1
    message = refusal(TEXT.replace(old, new))
    assert message.startswith(phrase) or (phrase[0].isalpha() and phrase in message)


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("", ":1:1: not JSON"),
        (TEXT[: len(TEXT) // 2], "not JSON"),
        ("[]", ": found a list, needed an object with a plan"),
        ("null", ": found nothing, needed an object with a plan"),
        ("{}", ": version: found nothing, needed 1"),
        ("[" * 100_000, ":1:65: nested more than 64 deep"),
    ],
)
def test_what_is_no_plan_is_refused(text: str, phrase: str) -> None:
    assert phrase in refusal(text)


def test_a_negative_or_infinite_rate_is_refused() -> None:
    plan = json.loads(TEXT)
    plan["predicted"]["tokens_per_s"] = -1
    assert refusal(json.dumps(plan)) == ": predicted.tokens_per_s: found -1, needed >= 0"


def test_a_plan_for_a_newer_hexplan_says_what_to_do() -> None:
    with pytest.raises(SpecError) as caught:
        read_text('{"version": 2}')
    assert caught.value.hint == "upgrade hexplan: `pip install -U hexplan`"


def test_a_missing_plan_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"plan\.json: cannot read it: No such file"):
        read_plan(tmp_path / "plan.json")


@given(
    st.integers(0, len(TEXT)),
    st.integers(0, 8),
    st.sampled_from(
        ["", "null", "-1", "1e400", "[]", "{}", '"', "}", ",", "NaN", "true", "\\ud800"]
    )
    | st.text(max_size=4),
)
def test_no_change_of_a_few_characters_raises_anything_but_our_errors(
    start: int, length: int, snippet: str
) -> None:
    try:
        plan = read_text(TEXT[:start] + snippet + TEXT[start + length :])
    except HexplanError as error:
        assert error.exit_code == 2
        error.message.encode()
    else:
        assert read_text(plan_json(plan)) == plan
