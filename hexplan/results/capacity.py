"""Capacities of a cut in the user's words: by hosts and layers, not only by stage ids."""

from __future__ import annotations

from collections.abc import Mapping

from hexplan.plan import Stage


def in_words(constraint: str, stages: Mapping[str, Stage]) -> str:
    """Name a capacity such as `link:s1>s2`; what is unknown stays as it is.

    Parameters
    ----------
    stages
        Stages of the plan by id, as far as there are any.
    """
    kind, _, name = constraint.partition(":")
    source, _, target = name.partition(">")
    return {
        "stage": f"stage {_place(name, stages)}",
        "link": f"the link from {_place(source, stages)} to {_place(target, stages)}",
        "nic-out": f"what the NIC of {name} sends",
        "nic-in": f"what the NIC of {name} receives",
        "trunk": f"the trunk from {source} to {target}",
        "pair": f"all that passes from {source} to {target}",
    }.get(kind, constraint)


def _place(name: str, stages: Mapping[str, Stage]) -> str:
    if name not in stages:
        return name
    first, end = stages[name].layers
    return f"{name} (layers [{first}, {end}) on {stages[name].host})"
