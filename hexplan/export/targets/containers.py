"""What containers need beside their command: images, devices, and words that nobody expands."""

from __future__ import annotations

from dataclasses import replace

from hexplan.errors import CannotExpress
from hexplan.export.command import Place
from hexplan.export.deployment import Deployment, Member, Server
from hexplan.export.engines import WORDINGS
from hexplan.export.names import one_line

SHARED_MEMORY = "16gb"
"""What processes of a replica exchange on one machine goes through it."""


def image(deployment: Deployment) -> str:
    """Return the image that the user names, or the engine's own."""
    named = deployment.options.image
    return one_line("the image", named or WORDINGS[deployment.engine.name].image)


def model_folder(deployment: Deployment) -> str | None:
    """Return what to mount, at the same path: None for a model that the engine downloads.

    Raises
    ------
    CannotExpress
        The model is a path, but not from the root on.
    """
    model = deployment.model
    if model.startswith("/"):
        return model
    if model.startswith((".", "~")) or model.endswith(".gguf"):
        message = f"found the model {model}, and containers need it by its path from the root on"
        raise CannotExpress(message, hint="name it with a leading slash: `--model /models/NAME`")
    return None


def numbered_anew(member: Member, place: Place) -> Place:
    """Return a place as a container sees it, which has these devices alone.

    Drivers count a container's devices from 0, in the order of their indices on the machine.
    """
    order = sorted(member.devices)
    return replace(place, devices=tuple(order.index(device) for device in member.devices))


def require_vendor(deployment: Deployment, server: Server, known: tuple[str, ...]) -> None:
    """Refuse a replica on devices that a container of this target cannot be given.

    Raises
    ------
    CannotExpress
        A device is of another platform.
    """
    other = [kind for kind in server.kinds if kind not in known]
    if other:
        message = f"replica {server.name} runs on {' and '.join(other)} devices, and this target"
        hint = f"write scripts instead: `hexplan export {deployment.engine.name}`"
        message += f" gives containers {', '.join(known)} alone"
        raise CannotExpress(message, hint=hint)
