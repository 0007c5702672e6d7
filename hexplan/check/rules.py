"""The rules that every plan must keep, and the form of a violation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One place of a plan that breaks one rule."""

    rule: str
    """Id of the rule, such as `HEX301`."""
    name: str
    """Name of the rule, such as `memory-overflow`."""
    where: str
    """The place, such as `stage s3, device 1`."""
    message: str
    """What was found and what is needed, with the arithmetic."""

    def __str__(self) -> str:
        return f"{self.rule} {self.name}: {self.where}: {self.message}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that every plan must keep."""

    id: str
    """`HEX` and three digits; the first names the family."""
    name: str
    """What a violation is called."""
    sentence: str
    """What must hold."""

    def at(self, where: str, message: str) -> Violation:
        """Return a violation of this rule."""
        return Violation(self.id, self.name, where, message)


NUMBER_BEYOND_REASON = Rule(
    "HEX101",
    "number-beyond-reason",
    "Every number is below 1e24 and has at most 40 decimals; otherwise nothing else is judged.",
)
CLUSTER_HASH = Rule(
    "HEX102", "cluster-hash", "`cluster_sha256` is the hash of the cluster that the plan carries."
)
NAME_CLASH = Rule(
    "HEX103",
    "name-clash",
    "Stages, hosts, device types, link rules and profiles are named once; no stage is `entry` or"
    " `exit`, no host is `coordinator`, and neither contains `>`.",
)
UNKNOWN_HOST = Rule(
    "HEX104", "unknown-host", "Every host that is named stands in the plan's cluster."
)
UNKNOWN_DEVICE = Rule("HEX105", "unknown-device", "Every device index exists on its host.")
UNKNOWN_DEVICE_TYPE = Rule(
    "HEX106", "unknown-device-type", "The type of every device in a stage stands in the cluster."
)
UNKNOWN_STAGE = Rule(
    "HEX107",
    "unknown-stage",
    "Every edge runs from a stage or `entry` to a stage or `exit`, and every hop names a stage.",
)
NO_INTERCONNECT = Rule(
    "HEX108", "no-interconnect", "A stage of several devices is on a host with an interconnect."
)
LENGTHS_REVERSED = Rule(
    "HEX109", "lengths-reversed", "The longest prompt and output are no shorter than the mean."
)
UNKNOWN_RULE = Rule(
    "HEX110",
    "unknown-rule",
    "A link rule under another one has no trunk and no policy itself; the other is under none.",
)

DEVICE_SHARED = Rule("HEX201", "device-shared", "A device belongs to one stage, once.")
DEVICE_UNACCOUNTED = Rule(
    "HEX202", "device-unaccounted", "Every device is in a stage or listed under `unused`."
)
DEVICE_USED_AND_UNUSED = Rule(
    "HEX203",
    "device-used-and-unused",
    "A device under `unused` is in no stage, and listed once.",
)
EXCLUDED_DEVICE_USED = Rule(
    "HEX204", "excluded-device-used", "No stage uses a device that the user excluded."
)
LAYER_PIN_BROKEN = Rule(
    "HEX205",
    "layer-pin-broken",
    "A host pinned to layers has a stage, and each of its stages holds exactly those layers.",
)
GROUP_PIN_BROKEN = Rule(
    "HEX206", "group-pin-broken", "Devices pinned together are exactly the devices of one stage."
)
BAD_LAYER_RANGE = Rule(
    "HEX207", "bad-layer-range", "A stage holds `[first, end)` with 0 <= first < end <= L."
)
LAYER_UNCOVERED = Rule("HEX208", "layer-uncovered", "Every layer is held by some stage.")
SHARDS_DO_NOT_TILE = Rule(
    "HEX209",
    "shards-do-not-tile",
    "The shards' intervals follow one another and cover all KV heads, FFN channels and"
    " vocabulary rows exactly once.",
)
EMPTY_SHARD = Rule(
    "HEX210",
    "empty-shard",
    "Every shard has at least one KV head and one FFN channel, and no interval is reversed.",
)
EMPTY_STAGE = Rule("HEX211", "empty-stage", "Every stage has at least one device.")

MEMORY_OVERFLOW = Rule(
    "HEX301",
    "memory-overflow",
    "Weights, workspace, overhead and KV cache of a device fit its budget.",
)
MEMORY_PART_WRONG = Rule(
    "HEX302", "memory-part-wrong", "Each stated part of a device's memory is the recomputed one."
)
MEMORY_SUM_WRONG = Rule(
    "HEX303", "memory-sum-wrong", "The parts and the free memory sum to the budget."
)
MEMORY_DEVICES_WRONG = Rule(
    "HEX304", "memory-devices-wrong", "A stage's memory has one entry a shard, in their order."
)
KV_ROOM_TOO_SMALL = Rule(
    "HEX305", "kv-room-too-small", "A stage has KV room for one longest request."
)
KV_ROOM_NOT_LARGEST = Rule(
    "HEX306", "kv-room-not-largest", "`kv_tokens` is the largest number that fits every device."
)

CAPACITY_WRONG = Rule(
    "HEX401",
    "capacity-wrong",
    "A stage's capacity is its profile's entry; where it has none, that of the datasheet, scaled"
    " where a like group was measured; corrected where such a stage was observed; times the"
    " availability of a host that is rented by its spot offer.",
)
BEYOND_PROFILE = Rule(
    "HEX402", "beyond-profile", "A stage with a profile holds no more layers than it has entries."
)
STAGE_OVERLOADED = Rule("HEX403", "stage-overloaded", "A stage's load is within its capacity.")
OFF_GRID = Rule(
    "HEX404", "off-grid", "Rates are whole numbers of 1e-6 tokens/s, and weights of 1e-9."
)
SPEED_ERROR_WRONG = Rule(
    "HEX405",
    "speed-error-wrong",
    "A stage's `speed_error` is that of what its capacity rests on.",
)
DTYPE_UNSUPPORTED = Rule(
    "HEX406", "dtype-unsupported", "Every device of a stage computes in the model's dtype."
)

EDGE_NOT_ALLOWED = Rule(
    "HEX501",
    "edge-not-allowed",
    "An edge enters a stage inside its range (s_j <= t_i < t_j), at 0 from entry, and exits at L.",
)
ENTER_LAYER_WRONG = Rule(
    "HEX502",
    "enter-layer-wrong",
    "An edge's `enter_layer` is the end of the stage that it leaves (0 at entry, L at exit).",
)
DUPLICATE_EDGE = Rule("HEX503", "duplicate-edge", "Two ends have one edge.")
EDGE_NOT_CONNECTED = Rule(
    "HEX504", "edge-not-connected", "A link rule or an interconnect connects the ends of an edge."
)
EDGE_CAPACITY_WRONG = Rule(
    "HEX505",
    "edge-capacity-wrong",
    "An edge's capacity is its bandwidth over the bytes of a token, rounded down to 1e-6.",
)
EDGE_OVERLOADED = Rule("HEX506", "edge-overloaded", "An edge's flow is within its capacity.")
EDGE_IDLE = Rule("HEX507", "edge-idle", "An edge that is listed carries flow.")
FLOW_NOT_CONSERVED = Rule("HEX508", "flow-not-conserved", "What enters a stage leaves it, exactly.")
LOAD_WRONG = Rule("HEX509", "load-wrong", "A stage's load is the flow that enters it.")
NIC_OVERLOADED = Rule(
    "HEX510", "nic-overloaded", "The edges out of and into a host are within its NIC."
)
TRUNK_OVERLOADED = Rule(
    "HEX511", "trunk-overloaded", "The edges under one link rule are within its trunk."
)
EDGE_WEIGHT_WRONG = Rule(
    "HEX512", "edge-weight-wrong", "An edge's weight is its share of what leaves its source."
)
EDGE_WEIGHTS_SUM = Rule(
    "HEX513", "edge-weights-sum", "The weights of the edges that leave one source sum to exactly 1."
)
NO_FLOW = Rule("HEX514", "no-flow", "Some flow reaches the exit.")
EDGE_FORBIDDEN = Rule(
    "HEX515",
    "edge-forbidden",
    "No activations pass under a link rule that allows `tokens`, and nothing where it allows"
    " `none`.",
)

ROUTE_BROKEN = Rule(
    "HEX601",
    "route-broken",
    "A route starts at layer 0, enters each stage inside its range where the last one ended, and"
    " ends at L.",
)
ROUTE_OFF_EDGES = Rule("HEX602", "route-off-edges", "Each step of a route is an edge of the plan.")
DUPLICATE_ROUTE = Rule("HEX603", "duplicate-route", "Each chain of stages is listed once.")
ROUTE_FLOWS_WRONG = Rule(
    "HEX604", "route-flows-wrong", "The routes over an edge sum to exactly the edge's flow."
)
ROUTE_WEIGHT_WRONG = Rule(
    "HEX605", "route-weight-wrong", "A route's weight is its share of the whole flow."
)
ROUTE_WEIGHTS_SUM = Rule(
    "HEX606", "route-weights-sum", "The weights of the routes sum to exactly 1."
)
ROUTE_IDLE = Rule("HEX607", "route-idle", "A route that is listed carries flow.")

FLOW_MISSTATED = Rule(
    "HEX701", "flow-misstated", "The certificate's flow is the flow that reaches the exit."
)
UNKNOWN_CONSTRAINT = Rule(
    "HEX702",
    "unknown-constraint",
    "A term of the cut names a stage, NIC, trunk, pair of linked hosts, or edge that the placement"
    " allows, once.",
)
CUT_CAPACITY_WRONG = Rule(
    "HEX703", "cut-capacity-wrong", "A term of the cut states the capacity that it names."
)
CUT_LEAKS = Rule(
    "HEX704",
    "cut-leaks",
    "Every route that the placement allows, used or not, pays at least 1 per token (less 1e-9).",
)
CUT_SUM_WRONG = Rule(
    "HEX705", "cut-sum-wrong", "`cut_tokens_per_s` is the sum of price times capacity."
)
FLOW_ABOVE_CUT = Rule("HEX706", "flow-above-cut", "The flow is at most the cut.")
FLOW_BELOW_CUT = Rule(
    "HEX707",
    "flow-below-cut",
    "The flow reaches the cut, up to 1e-6 a route and edge or one part in a million; under the"
    " objective latency it is the workload's rate instead.",
)
BOUND_BELOW_FLOW = Rule("HEX708", "bound-below-flow", "The bound is at least the flow.")
GAP_WRONG = Rule(
    "HEX709", "gap-wrong", "The gap is (bound - flow) / flow, rounded up by at most 1e-6."
)
PREDICTION_WRONG = Rule(
    "HEX710",
    "prediction-wrong",
    "The prediction is the certificate's flow, and that flow over P + D in requests per second.",
)
RATE_NOT_CARRIED = Rule(
    "HEX711",
    "rate-not-carried",
    "Under the objectives latency and cost, the flow carries the workload's request rate.",
)
COST_WRONG = Rule(
    "HEX712",
    "cost-wrong",
    "The cost is the sum of the rents of the hosts in use, each at the price by which the plan"
    " takes it; under the objective cost it is stated.",
)
COST_BOUND_WRONG = Rule(
    "HEX713",
    "cost-bound-wrong",
    "The bound on the cost is at most the cost, and the gap is (cost - bound) / bound, rounded up"
    " by at most 1e-6.",
)
SUSTAINED_WRONG = Rule(
    "HEX714",
    "sustained-wrong",
    "A sustained rate is above 0, unless outputs have one token, and emits at most the longest"
    " output for each request. A simulated one may add what requests got that are in flight at the"
    " end, as far as the KV room keeps it (served_rate.md); it names each seed once and measures"
    " some time; under the objective sustained there is one.",
)
BAND_WRONG = Rule(
    "HEX715",
    "band-wrong",
    "`least_tokens_per_s` is the flow less the largest error of the stages in use, and"
    " `most_tokens_per_s` the sum of price times capacity, each raised by its stage's error.",
)
BASIS_WRONG = Rule(
    "HEX716",
    "basis-wrong",
    "`rests_on` names each origin of the cut's terms once, with its share of the cut's value.",
)
