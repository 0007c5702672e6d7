"""Advice on the rules of engines, in family 2."""

from __future__ import annotations

from hexplan.check.advice.advice import Advice

_OR_HEXPLAN = (
    "Solve again with the `limits.engine` that shall run the plan; `limits: {engine: hexplan}`"
    " lifts the rule."
)

ENGINES = {
    "HEX215": Advice(
        "Such an engine runs whole replicas, each a server of its own. No other server can use a"
        " stage of it, and a stage of none has nobody to run it.",
        _OR_HEXPLAN,
    ),
    "HEX216": Advice(
        "In a replica every request runs all layers of every stage.",
        _OR_HEXPLAN,
    ),
    "HEX217": Advice(
        "Sequence parallelism and shifting are modes of hexplan's own.",
        "Set `limits: {parallel: [tp]}` and solve again.",
    ),
    "HEX218": Advice(
        "`--tensor-parallel-size` is one number for a whole replica. llama.cpp has one split mode"
        " for a whole server: layers over all devices, or tensors within one machine.",
        _OR_HEXPLAN,
    ),
    "HEX219": Advice(
        "These engines cut heads and channels into equal parts, and refuse to start where that"
        " leaves a rest.",
        _OR_HEXPLAN,
    ),
    "HEX220": Advice(
        "Machines are told a rank of their own and how many there are; the engine divides the"
        " devices of a replica evenly among them.",
        _OR_HEXPLAN + " A machine may have devices to spare, which other replicas can use.",
    ),
    "HEX221": Advice(
        "The engine numbers its devices machine by machine, and its stages in the same order.",
        _OR_HEXPLAN,
    ),
    "HEX222": Advice(
        "All devices of a replica are in one collective group, and each kind has its own library"
        " and its own build of the engine.",
        "Exclude the devices of one kind, or solve with `limits: {engine: llamacpp}`, which mixes"
        " kinds.",
    ),
    "HEX223": Advice(
        "Splitting tensors over machines is not part of llama.cpp so far.",
        "Remove `limits.join`, and solve again.",
    ),
    "HEX224": Advice(
        "What one rpc-server sends to another passes the main host, where llama-server runs. The"
        " plan counts only the direct link, so its flow and its times would be wrong.",
        _OR_HEXPLAN,
    ),
    "HEX225": Advice(
        "llama.cpp reads GGUF files alone, and splits tensors only with a plain KV cache.",
        "Choose another format for the model in the cluster.yaml, and solve again.",
    ),
}
