from __future__ import annotations

from support.exported import WEIGHTS, exported, pipeline_plan

from hexplan.engines.compressed import compressed_links, uncompressed_note
from hexplan.export import ExportOptions, export_plan
from hexplan.plan import Plan
from hexplan.render.plan_view import plan_text


def compressing(plan: Plan) -> Plan:
    """Return a plan whose links between hosts compress activations."""
    links = tuple(link.model_copy(update={"compress": "int8"}) for link in plan.cluster.links)
    cluster = plan.cluster.model_copy(update={"links": links})
    return plan.model_copy(update={"cluster": cluster})


def test_whoever_exports_a_plan_hears_that_the_engine_sends_activations_whole() -> None:
    plan = compressing(pipeline_plan())
    links = compressed_links(plan)
    assert links
    note = uncompressed_note(plan, "vLLM")
    assert note is not None
    assert links[0] in note
    made = export_plan(plan, "vllm", ExportOptions(engine="vllm", model=WEIGHTS["vllm"]))
    assert made.note == note
    assert f"{note}." in exported(plan, "vllm")["README.md"]
    told = " ".join(plan_text(plan).split())
    assert "the engines of `export` do not" in told


def test_a_plan_without_compression_says_nothing_of_it() -> None:
    plan = pipeline_plan()
    assert compressed_links(plan) == ()
    assert uncompressed_note(plan, "vLLM") is None
    assert "compress" not in exported(plan, "vllm")["README.md"]
    assert "compressed" not in plan_text(plan)
