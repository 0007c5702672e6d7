"""Advice on family 1: what the plan refers to."""

from __future__ import annotations

from hexplan.check.advice.advice import CHANGE_SPEC, Advice

_FROM_CATALOG = (
    "State the figures in the cluster.yaml, where they count as given, and solve again. After an"
    " update of hexplan whose catalog changed, solving again is enough."
)

NAMES = {
    "HEX101": Advice(
        "Numbers of such a size are no measurement of anything, and exact arithmetic on them may"
        " take for ever.",
        "Look for a slip of units in the field that is named.",
    ),
    "HEX102": Advice(
        "The hashes tie a plan to its inputs. Where they differ, the inputs were changed after the"
        " plan was made, and nothing in it need be true of them.",
        "Change the cluster.yaml instead of the plan, and solve again.",
    ),
    "HEX103": Advice(
        "Everything else refers to these names, so that with a clash no statement is clear.",
        "Give each its own name, in the cluster.yaml or, for stages, in the plan.",
    ),
    "HEX104": Advice(
        "A stage on a host that is not there cannot be launched.",
        "Correct the name, or add the host to the cluster.yaml and solve again.",
    ),
    "HEX105": Advice(
        "A rank for a device that is not there cannot be started.",
        "Devices are counted from 0 in the order in which the host lists them.",
    ),
    "HEX106": Advice(
        "Without its type, nothing is known of a device's memory and speed.",
        "Define the type under `devices` of the cluster.yaml and solve again.",
    ),
    "HEX107": Advice(
        "Requests would be sent to a stage that does not exist.",
        "Correct the id, or remove the edge or the route.",
    ),
    "HEX108": Advice(
        "Devices of one stage exchange sums in every layer; without an interconnect there is no"
        " way to do so.",
        "State `interconnect` of the host in the cluster.yaml, or use one device a stage.",
    ),
    "HEX109": Advice(
        "A mean above the largest length is a slip, and memory would be planned for the smaller.",
        "Correct `workload` in the cluster.yaml and solve again.",
    ),
    "HEX110": Advice(
        "Traffic under such a rule would be counted against no trunk, or against two.",
        "Put the trunk and the policy on the outer rule alone.",
    ),
    "HEX111": Advice(
        "A joined host stands for its machines; where its figures are not theirs, memory and links"
        " are planned that do not exist.",
        CHANGE_SPEC,
    ),
    "HEX112": Advice(
        "The model was not made for such long requests, and its output would be noise.",
        "Lower the longest lengths in `workload`, or choose a model with a longer context.",
    ),
    "HEX113": Advice(
        "The family decides which weights a layer has. With the wrong one, memory and speed are"
        " those of another model.",
        "Correct `family` of the model, or read it from its folder.",
    ),
    "HEX114": Advice(
        "A well-known name with other sizes misleads everyone who reads the plan.",
        _FROM_CATALOG,
    ),
    "HEX115": Advice(
        "A rule for a place that does not exist connects nothing, and its traffic is not counted.",
        "Correct `links` in the cluster.yaml and solve again.",
    ),
    "HEX116": Advice(
        "A well-known device with other figures misleads everyone who reads the plan.",
        _FROM_CATALOG,
    ),
    "HEX117": Advice(
        "Whoever trusts a place that does not exist meant another one, where hosts encrypt now or"
        " do not.",
        "Correct `trusted` in the cluster.yaml and solve again.",
    ),
}

PLACEMENT = {
    "HEX201": Advice(
        "Two stages on one device share its memory and its time, which the plan gives to each"
        " whole.",
        "Take the device out of all stages but one.",
    ),
    "HEX202": Advice(
        "A device that is nowhere was forgotten, and nobody says why.",
        "List it under `unused` with the reason, or put it into a stage.",
    ),
    "HEX203": Advice(
        "A device cannot be both used and left out.", "Remove it from `unused`, or list it once."
    ),
    "HEX204": Advice(
        "Whoever excluded it needs it for something else.",
        "Solve again, or drop the `exclude` pin in the cluster.yaml.",
    ),
    "HEX205": Advice(
        "The pin says which weights the host holds; others are not there.",
        "Solve again, or change the `layers` pin in the cluster.yaml.",
    ),
    "HEX206": Advice(
        "The pin says which devices work together, such as the two ends of a bridge.",
        "Solve again, or change the `group` pin in the cluster.yaml.",
    ),
    "HEX207": Advice(
        "Such a range holds no layer, or layers that the model does not have.",
        "State `[first, end)` with the end one past the last layer.",
    ),
    "HEX208": Advice(
        "No request can be finished without that layer.", "Give some stage the layer."
    ),
    "HEX209": Advice(
        "A gap loses a part of each layer, and an overlap counts it twice: the tokens are wrong.",
        "Let each shard begin where the one before it ends.",
    ),
    "HEX210": Advice(
        "A device without a share of a layer waits for the others and adds nothing.",
        "Give it a head and a channel, or take it out of the stage.",
    ),
    "HEX211": Advice("Nothing would run the stage.", "Give it a device, or remove it."),
    "HEX212": Advice(
        "Sharing out tokens moves whole heads between devices that must be alike.",
        "Use `tp` there.",
    ),
    "HEX213": Advice(
        "`limits.parallel` says which ways the runtime of this cluster may use.",
        "Add the way to `limits.parallel`, or solve again.",
    ),
    "HEX214": Advice(
        "The threshold says when a stage shifts, and the degree how it shares out tokens.",
        "Remove what the stage does not need, or make it `shift`.",
    ),
    "HEX226": Advice(
        "Only sums of tensor parallelism can go on while a device computes something else.",
        "Remove `interleave`, or set `techniques: {interleave: auto}` and solve again.",
    ),
    "HEX228": Advice(
        "Only a layer before it, on the same device, can tell what a layer needs of host memory.",
        "Remove `kv_offload`, or set `techniques: {kv_offload: auto}` and solve again.",
    ),
}
