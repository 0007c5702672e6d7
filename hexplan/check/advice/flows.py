"""Advice on families 5 and 6: the flow and the routes."""

from __future__ import annotations

from hexplan.check.advice.advice import SOLVE_AGAIN, Advice

FLOWS = {
    "HEX501": Advice(
        "A stage runs layers from where a request enters to its end. From elsewhere, layers are"
        " skipped or run twice.",
        "Remove the edge, or change the layers of its stages.",
    ),
    "HEX502": Advice(
        "The receiving stage starts at this layer; a wrong one gives wrong tokens.",
        "State the end of the stage that the edge leaves.",
    ),
    "HEX503": Advice("Its flow would be counted once or twice.", "Add their flows in one edge."),
    "HEX504": Advice(
        "Activations have no way from one host to the other.",
        "Add a rule under `links` of the cluster.yaml and solve again, or remove the edge.",
    ),
    "HEX505": Advice("A capacity that is too high overloads the link.", SOLVE_AGAIN),
    "HEX506": Advice(
        "Messages queue on the link, longer and longer.", "Lower the flow, or solve again."
    ),
    "HEX507": Advice("Connections would be opened for nothing.", "Remove the edge."),
    "HEX508": Advice(
        "Requests would vanish in the stage, or come from nowhere.",
        "Let the flows into a stage sum to those out of it.",
    ),
    "HEX509": Advice("Whoever watches a running stage compares with this load.", SOLVE_AGAIN),
    "HEX510": Advice(
        "All edges of a host share its network card, and together ask more of it than it has.",
        "Lower their flows, correct `nic` in the cluster.yaml, or solve again.",
    ),
    "HEX511": Advice(
        "All traffic between the two sites shares one line, and asks more of it than it has.",
        "Lower the flows, correct the trunk in the cluster.yaml, or solve again.",
    ),
    "HEX512": Advice("The router draws by these weights.", SOLVE_AGAIN),
    "HEX513": Advice("The router would lose requests, or send some twice.", SOLVE_AGAIN),
    "HEX514": Advice(
        "The plan serves nothing.", "Solve again; `hexplan explain` says what is in the way."
    ),
    "HEX515": Advice(
        "The rule was written to keep data where it is.",
        "Solve again, or loosen `policy` of the link rule.",
    ),
    "HEX516": Advice(
        "All edges between two hosts share one link, and ask more of it than it has.",
        "Lower their flows, or solve again.",
    ),
    "HEX601": Advice(
        "A request on such a route skips layers or runs some twice: its tokens are wrong.",
        "Let each hop enter where the one before it ends, from 0 to the last layer.",
    ),
    "HEX602": Advice(
        "The stages of this step are not connected.", "Add the edge, or remove the route."
    ),
    "HEX603": Advice("Its weight would be counted twice.", "Add their flows in one route."),
    "HEX604": Advice(
        "Routes are how requests really go; edges say what links carry. They have to agree.",
        SOLVE_AGAIN,
    ),
    "HEX605": Advice("The router draws routes by these weights.", SOLVE_AGAIN),
    "HEX606": Advice("The router would lose requests, or send some twice.", SOLVE_AGAIN),
    "HEX607": Advice("No request ever takes it.", "Remove the route."),
    "HEX608": Advice(
        "A stage that only decodes would get prompts, or one that only prefills would decode.",
        "State the phase that the handovers need, or solve again with the objective `slo`.",
    ),
    "HEX609": Advice(
        "A request would skip layers or run some twice in this phase: its tokens are wrong.",
        "Let each hop enter where the one before it ends, from 0 to the last layer.",
    ),
    "HEX610": Advice("The router would lose requests, or send some twice.", SOLVE_AGAIN),
    "HEX611": Advice(
        "Decodes need the KV of every layer of their prompt; what is not moved is not there, and"
        " what is not counted makes links late.",
        SOLVE_AGAIN,
    ),
    "HEX612": Advice(
        "KV would come later with every request, and its decodes with it.",
        "Give the hosts faster links, or solve again: another split keeps KV within hosts.",
    ),
    "HEX613": Advice(
        "Only the simulation for the objective `slo` follows handovers; other figures would be"
        " those of another plan.",
        "Solve with `objective: slo`, or let all stages serve both.",
    ),
}
