"""Advice on families 3 and 4: memory and speed."""

from __future__ import annotations

from hexplan.check.advice.advice import SOLVE_AGAIN, Advice

SIZES = {
    "HEX301": Advice(
        "The rank runs out of memory while it loads its weights, or later under load.",
        "Give the stage fewer layers or more devices, or fewer tokens of KV cache. A smaller"
        " `dtype` or quantised weights help everywhere.",
    ),
    "HEX302": Advice(
        "The launcher allots what the plan states; a wrong part takes room from another.",
        SOLVE_AGAIN,
    ),
    "HEX303": Advice("Memory would be lost, or given away twice.", SOLVE_AGAIN),
    "HEX304": Advice(
        "Each rank reads its own entry, by its place.", "List one entry per shard, in their order."
    ),
    "HEX305": Advice(
        "A request of the longest length that the workload allows would wait for ever.",
        "Give the stage fewer layers or more devices, or lower the longest lengths in `workload`.",
    ),
    "HEX306": Advice(
        "Room that is not used costs rate; room that is not there costs the rank.", SOLVE_AGAIN
    ),
    "HEX307": Advice(
        "A larger step does not fit into the workspace; and where decodes take all of it, prompts"
        " starve.",
        "Lower `step_limits`, or raise `limits.chunk_tokens` in the cluster.yaml and solve again.",
    ),
    "HEX308": Advice(
        "The host would swap, or end the ranks.",
        "State more `host_memory` if there is some, or solve again.",
    ),
    "HEX401": Advice(
        "Routing and the bound rest on capacities. One that is too high overloads its stage.",
        SOLVE_AGAIN,
    ),
    "HEX402": Advice(
        "Nobody measured the device with so many layers.",
        "Measure more layers with `hexplan profile`, or give the stage fewer.",
    ),
    "HEX403": Advice(
        "Requests queue before the stage, longer and longer.",
        "Send less through it: lower the flow of its edges and routes, or solve again.",
    ),
    "HEX404": Advice(
        "Sums are compared exactly, which takes numbers on one grid.",
        "Round rates down to 1e-6 tokens/s, and weights to 1e-9.",
    ),
    "HEX405": Advice("The band of the flow follows from these errors.", SOLVE_AGAIN),
    "HEX406": Advice(
        "Kernels for this dtype do not exist on the device, or emulate it many times slower.",
        "Choose a `dtype` of the model that the device has, such as float16 on V100 and T4.",
    ),
    "HEX407": Advice("The stage would shift where it is slower afterwards.", SOLVE_AGAIN),
    "HEX409": Advice("Steps would run in two lanes where that is slower.", SOLVE_AGAIN),
    "HEX411": Advice("Requests would be let in that find no room, or wait.", SOLVE_AGAIN),
    "HEX408": Advice("A reader has to know whether a speed was measured or assumed.", SOLVE_AGAIN),
}
