"""Plans that break what they refer to, or where they put devices, layers and shards."""

from __future__ import annotations

from decimal import Decimal

from support.changes import (
    broken,
    change_certificate,
    change_edge,
    change_plan,
    change_route,
    change_shard,
    change_stage,
    move_stage,
    renamed,
)
from support.plan_parts import BIG, SMALL, link, profile
from support.plans import profiled_plan, resealed, two_hosts_plan

from hexplan.cluster import Exclusion, GroupPin, LayerPin
from hexplan.plan import Hop, Unused
from hexplan.workload import Lengths

TWO = two_hosts_plan()
BIG_HOST, SMALL_HOST = TWO.cluster.hosts
PROFILED = profiled_plan()
SPARE = SMALL_HOST.model_copy(update={"name": "spare"})
SHARED_LINES = (link("lab", "lab"), link("lab", "lab"))


def _unused(*slots: tuple[str, int]) -> tuple[Unused, ...]:
    return tuple(Unused(host=host, device=device, reason="by hand") for host, device in slots)


def _output_tokens(longest: int) -> object:
    lengths = Lengths(mean=20, max=longest)
    return TWO.workload.model_copy(update={"output_tokens": lengths})


REFERENCES = (
    broken(
        "a number that exact arithmetic would never finish with",
        change_certificate(TWO, bound_tokens_per_s=Decimal("1E+999999999")),
        "HEX101",
    ),
    broken(
        "a zero with a billion decimals",
        change_certificate(TWO, gap=Decimal("0E-999999999")),
        "HEX101",
    ),
    broken(
        "more layers than anyone can count",
        change_plan(TWO, model=TWO.model.model_copy(update={"layers": 10**30})),
        "HEX101",
    ),
    broken(
        "a cluster that changed after the solve",
        change_plan(TWO, cluster=TWO.cluster.model_copy(update={"name": "other"})),
        "HEX102",
    ),
    broken("the hash of another workload", change_plan(TWO, inputs_sha256="0" * 64), "HEX102"),
    broken("the hash of another cluster", change_plan(TWO, cluster_sha256="0" * 64), "HEX102"),
    broken("two stages of one name", change_stage(TWO, 2, id="s1"), "HEX103", "HEX107"),
    broken("a stage that is called exit", renamed(TWO, "s1", "exit"), "HEX103"),
    broken("a stage whose name blurs those of links", renamed(TWO, "s0", "s>0"), "HEX103"),
    broken("two rules for one link", resealed(TWO, links=SHARED_LINES), "HEX103"),
    broken(
        "two hosts of one name",
        resealed(TWO, hosts=(BIG_HOST, SMALL_HOST, SMALL_HOST)),
        "HEX103",
    ),
    broken("two device types of one name", resealed(TWO, device_types=(BIG, SMALL, BIG)), "HEX103"),
    broken(
        "two profiles of one kind of stage",
        resealed(PROFILED, profiles=(*PROFILED.cluster.profiles, profile("Slow", "1", "50"))),
        "HEX103",
    ),
    broken(
        "a host that is called coordinator",
        change_plan(
            resealed(
                TWO, hosts=(*TWO.cluster.hosts, SPARE.model_copy(update={"name": "coordinator"}))
            ),
            unused=_unused(("small", 2), *(("coordinator", device) for device in range(3))),
        ),
        "HEX103",
    ),
    broken(
        "a stage on a host that is not there",
        change_stage(TWO, 1, host="gone"),
        "HEX104",
        "HEX202",  # its device of `small` is now nowhere
    ),
    broken(
        "an unused device of a host that is not there",
        change_plan(TWO, unused=_unused(("small", 2), ("gone", 0))),
        "HEX104",
    ),
    broken(
        "a layer pin on a host that is not there",
        resealed(TWO, layer_pins=(LayerPin(host="gone", layers=(0, 4)),)),
        "HEX104",
    ),
    broken(
        "an exclusion of a host that is not there",
        resealed(TWO, exclusions=(Exclusion(host="gone"),)),
        "HEX104",
    ),
    broken(
        "a stage on a device that is not there",
        move_stage(TWO, 1, "small", 7),
        "HEX105",
        "HEX202",  # its device 0 is now nowhere
    ),
    broken(
        "an unused device that is not there",
        change_plan(TWO, unused=_unused(("small", 2), ("small", 3))),
        "HEX105",
    ),
    broken(
        "a negative device", change_plan(TWO, unused=_unused(("small", 2), ("big", -1))), "HEX105"
    ),
    broken(
        "a group pin on a device that is not there",
        resealed(TWO, group_pins=(GroupPin(host="big", devices=(0, 5)),)),
        "HEX105",
    ),
    broken("a device type that nobody describes", resealed(TWO, device_types=(BIG,)), "HEX106"),
    broken(
        "an edge to a stage that is not there",
        change_edge(PROFILED, "s1>s3", target="s9"),
        "HEX107",
    ),
    broken("a trusted site without a host", resealed(TWO, trusted_sites=("lba",)), "HEX117"),
    broken("a site trusted twice", resealed(TWO, trusted_sites=("lab", "lab")), "HEX117"),
    broken(
        "a link rule under one that is not there",
        resealed(TWO, links=(*TWO.cluster.links, link("big", "small", under=("gone", "lab")))),
        "HEX110",
    ),
    broken(
        "a link rule under one that is under another",
        resealed(
            TWO,
            links=(
                *TWO.cluster.links,
                link("big", "small", under=("lab", "lab")),
                link("small", "big", under=("big", "small")),
            ),
        ),
        "HEX110",
    ),
    broken(
        "a link rule under another one with a trunk of its own",
        resealed(
            TWO, links=(*TWO.cluster.links, link("big", "small", trunk=7, under=("lab", "lab")))
        ),
        "HEX110",
    ),
    broken("an edge back to the entry", change_edge(TWO, "s1>exit", target="entry"), "HEX107"),
    broken(
        "a hop to a stage that is not there",
        change_route(TWO, 0, hops=(Hop(stage="s0", enter_layer=0), Hop(stage="x", enter_layer=4))),
        "HEX107",
        "HEX604",  # what the route no longer carries over s0>s1 and s1>exit
    ),
    broken(
        "a stage of two devices that cannot reach each other",
        resealed(TWO, hosts=(BIG_HOST.model_copy(update={"interconnect": None}), SMALL_HOST)),
        "HEX108",
    ),
    broken(
        "a longest output below the mean",
        change_plan(TWO, workload=_output_tokens(10)),
        "HEX109",
    ),
    broken(
        "a request that is one token longer than the context",
        change_plan(TWO, model=TWO.model.model_copy(update={"max_context": 149})),
        "HEX112",
    ),
)

PLACEMENTS = (
    broken(
        "a device in two stages",
        move_stage(TWO, 2, "small", 0),
        "HEX201",
        "HEX202",  # device 1 is now nowhere
    ),
    broken(
        "a device twice in one stage",
        change_shard(TWO, 0, 1, device=0),
        "HEX201",
        "HEX202",  # device 1 of `big` is now nowhere
        "HEX304",  # and the memory still lists it
    ),
    broken("a device that nobody mentions", change_plan(TWO, unused=()), "HEX202"),
    broken(
        "a device both used and unused",
        change_plan(TWO, unused=_unused(("small", 2), ("small", 1))),
        "HEX203",
    ),
    broken(
        "an unused device listed twice",
        change_plan(TWO, unused=_unused(("small", 2), ("small", 2))),
        "HEX203",
    ),
    broken(
        "an excluded device in use",
        resealed(TWO, exclusions=(Exclusion(host="small", device=1),)),
        "HEX204",
    ),
    broken("an excluded host in use", resealed(TWO, exclusions=(Exclusion(host="big"),)), "HEX204"),
    broken(
        "other layers than those that the host is pinned to",
        resealed(TWO, layer_pins=(LayerPin(host="big", layers=(0, 3)),)),
        "HEX205",
    ),
    broken(
        "a pinned host without a stage",
        change_plan(
            resealed(
                TWO,
                hosts=(*TWO.cluster.hosts, SPARE),
                layer_pins=(LayerPin(host="spare", layers=(0, 2)),),
            ),
            unused=_unused(("small", 2), *(("spare", device) for device in range(3))),
        ),
        "HEX205",
    ),
    broken(
        "pinned devices in two stages",
        resealed(TWO, group_pins=(GroupPin(host="small", devices=(0, 1)),)),
        "HEX206",
    ),
    broken(
        "pinned devices with another in their stage",
        resealed(TWO, group_pins=(GroupPin(host="big", devices=(1,)),)),
        "HEX206",
    ),
    broken("a reversed layer range", change_stage(PROFILED, 3, layers=(6, 4)), "HEX207"),
    broken("an empty layer range", change_stage(PROFILED, 3, layers=(4, 4)), "HEX207"),
    broken("layers beyond the model", change_stage(PROFILED, 3, layers=(4, 7)), "HEX207"),
    broken(
        "a last stage that leaves layers out",
        change_plan(TWO, stages=TWO.stages[:1], unused=_unused(*(("small", i) for i in range(3)))),
        "HEX107",  # edges and hops still name s1 and s2
        "HEX208",
    ),
    broken(
        "shards whose words are swapped",
        change_shard(change_shard(TWO, 0, 0, vocab=(64, 128)), 0, 1, vocab=(0, 64)),
        "HEX209",
    ),
    broken(
        "a hole between two shards' channels",
        change_shard(TWO, 0, 1, ffn=(81, 161)),
        "HEX209",
    ),
    broken(
        "shards with one head too many",
        change_shard(TWO, 1, 0, kv_heads=(0, 5)),
        "HEX209",
        "HEX301",  # the KV room was counted for four heads
        "HEX302",
        "HEX401",
    ),
    broken(
        "a shard without KV heads",
        change_shard(change_shard(TWO, 0, 1, kv_heads=(4, 4)), 0, 0, kv_heads=(0, 4)),
        "HEX210",
    ),
    broken(
        "a shard without channels",
        change_shard(change_shard(TWO, 0, 1, ffn=(160, 160)), 0, 0, ffn=(0, 160)),
        "HEX210",
    ),
    broken(
        "a shard whose channels run backwards",
        change_shard(TWO, 0, 1, ffn=(160, 80)),
        "HEX209",
        "HEX210",
    ),
    broken(
        "a stage without devices",
        change_stage(PROFILED, 3, shards=(), memory=()),
        "HEX202",  # its device is now nowhere
        "HEX211",
    ),
)

BROKEN_PLACES = REFERENCES + PLACEMENTS
