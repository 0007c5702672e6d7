"""The rules about proofs of bounds, which several kinds of proof share."""

from __future__ import annotations

from hexplan.check.rule import Rule

BOUND_NOT_PROVED = Rule(
    "HEX801",
    "bound-not-proved",
    "The bound is at least what its proof gives, recomputed from the spec in the plan, up to one"
    " part in 1e9 and 1e-6 for each device. At the prices of a pattern proof, patterns of more than"
    " the bound cannot hold all layers.",
)
PROOF_MISPLACED = Rule(
    "HEX804",
    "proof-misplaced",
    "A proof names sites, hosts and groups of devices that the cluster has; a group has one price,"
    " and a site is in one zone.",
)
