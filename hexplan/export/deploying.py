"""Make a deployment of a plan: its replicas, their processes, ports and weights."""

from __future__ import annotations

from fractions import Fraction

from hexplan.engines import ENGINES, replicas_of
from hexplan.errors import CannotExpress, InputError
from hexplan.export.deployment import Deployment, Server
from hexplan.export.engines import WORDINGS
from hexplan.export.names import one_line
from hexplan.export.options import FIRST_MASTER_PORT, ExportOptions
from hexplan.export.shares import whole_weights
from hexplan.export.whole import whole_plan
from hexplan.plan import Plan

_LAST_PORT = 65_535


def deployment(plan: Plan, options: ExportOptions) -> Deployment:
    """Return what to start for a plan.

    Raises
    ------
    CannotExpress
        The engine cannot run the plan, or a name cannot stand in a file.
    """
    engine = ENGINES[options.engine]
    whole = whole_plan(plan, engine, disjoint=options.disjoint)
    shares = [Fraction(route.weight) for route in whole.plan.routes]
    weights = whole_weights(shares)
    _require_ports(options.first_port, len(shares))
    members_of = WORDINGS[options.engine].members
    servers: list[Server] = []
    for index, replica in enumerate(replicas_of(whole.plan)):
        port = options.first_port + index
        servers.append(
            Server(
                name=f"r{index}",
                replica=replica,
                members=members_of(whole.plan, replica, port, tuple(servers)),
                share=shares[index] / sum(shares),
                weight=weights[index],
                api_port=port,
                master_port=FIRST_MASTER_PORT + index,
            )
        )
    return Deployment(whole, engine, tuple(servers), _model(plan, options), options)


def _require_ports(first: int, number: int) -> None:
    if first + number - 1 > _LAST_PORT:
        message = f"--port: found {first} for {number} replicas, needed ports up to {_LAST_PORT}"
        raise InputError(message)


def _model(plan: Plan, options: ExportOptions) -> str:
    found = options.model or plan.model.path
    if found is None:
        message = f"the plan knows {plan.model.name} by its sizes, and not where its weights are"
        hint = "name the folder on the hosts, or a model that the engine downloads: `--model NAME`"
        raise CannotExpress(message, hint=hint)
    if found.startswith("-"):
        message = f"found {found!r} as the model, which an engine takes for an option"
        raise CannotExpress(message)
    return one_line("the model", found)
