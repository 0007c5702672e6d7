"""Small changes to a plan: one object replaced, everything else as it was."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from hexplan.plan import CutTerm, Plan, inputs_sha256


@dataclass(frozen=True, slots=True)
class Broken:
    """A plan, and exactly the rules that it breaks."""

    sentence: str
    plan: Plan
    rules: tuple[str, ...]


def broken(sentence: str, plan: Plan, *rules: str) -> Broken:
    """Return a broken plan with the sentence that says what is wrong with it."""
    return Broken(sentence, plan, rules)


def change_plan(plan: Plan, **update: object) -> Plan:
    """Replace fields of the plan itself; model, workload and objective with their hash."""
    changed = plan.model_copy(update=update)
    if not update.keys() & {"model", "workload", "objective"}:
        return changed
    found = inputs_sha256(changed.model, changed.workload, changed.objective)
    return changed.model_copy(update={"inputs_sha256": found})


def change_stage(plan: Plan, index: int, **update: object) -> Plan:
    """Replace fields of one stage."""
    return _replaced(plan, "stages", index, update)


def change_edge(plan: Plan, ends: str, **update: object) -> Plan:
    """Replace fields of one edge, named as `s0>s1`."""
    names = [f"{edge.source}>{edge.target}" for edge in plan.edges]
    return _replaced(plan, "edges", names.index(ends), update)


def change_route(plan: Plan, index: int, **update: object) -> Plan:
    """Replace fields of one route."""
    return _replaced(plan, "routes", index, update)


def change_shard(plan: Plan, stage: int, index: int, **update: object) -> Plan:
    """Replace fields of one shard of a stage."""
    shards = list(plan.stages[stage].shards)
    shards[index] = shards[index].model_copy(update=update)
    return change_stage(plan, stage, shards=tuple(shards))


def change_memory(plan: Plan, stage: int, index: int, **added_bytes: int) -> Plan:
    """Add to parts of the memory of one device of a stage."""
    entries = list(plan.stages[stage].memory)
    parts = {part: getattr(entries[index], part) + more for part, more in added_bytes.items()}
    entries[index] = entries[index].model_copy(update=parts)
    return change_stage(plan, stage, memory=tuple(entries))


def change_kv_tokens(plan: Plan, stage: int, added: int) -> Plan:
    """Add KV tokens to a stage of one device, and take their bytes from what is free."""
    found = plan.stages[stage]
    (entry,) = found.memory
    more = entry.kv_bytes // found.kv_tokens * added
    moved = change_memory(plan, stage, 0, kv_bytes=more, free_bytes=-more)
    return change_stage(moved, stage, kv_tokens=found.kv_tokens + added)


def move_stage(plan: Plan, stage: int, host: str, device: int) -> Plan:
    """Put a stage of one device elsewhere."""
    found = plan.stages[stage]
    memory = (found.memory[0].model_copy(update={"device": device}),)
    moved = change_shard(plan, stage, 0, device=device)
    return change_stage(moved, stage, host=host, memory=memory)


def change_certificate(plan: Plan, **update: object) -> Plan:
    """Replace fields of the certificate."""
    changed = plan.certificate.model_copy(update=update)
    return plan.model_copy(update={"certificate": changed})


def change_predicted(plan: Plan, **update: object) -> Plan:
    """Replace fields of the prediction."""
    return plan.model_copy(update={"predicted": plan.predicted.model_copy(update=update)})


def change_cut(plan: Plan, *terms: tuple[str, str, str]) -> Plan:
    """Replace the terms of the cut: name, price and capacity."""
    cut = tuple(
        CutTerm(constraint=name, price=Decimal(price), capacity=Decimal(capacity))
        for name, price, capacity in terms
    )
    return change_certificate(plan, cut=cut)


def renamed(plan: Plan, old: str, new: str) -> Plan:
    """Return the plan with a stage renamed wherever a string is its name."""
    text = plan.model_dump_json(by_alias=True).replace(f'"{old}"', f'"{new}"')
    return Plan.model_validate_json(text)


def _replaced(plan: Plan, field: str, index: int, update: dict[str, object]) -> Plan:
    parts = list(getattr(plan, field))
    parts[index] = parts[index].model_copy(update=update)
    return plan.model_copy(update={field: tuple(parts)})
