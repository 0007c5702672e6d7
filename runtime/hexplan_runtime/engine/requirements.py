"""What a request must be, so that a plan's stages could run it at all."""

from __future__ import annotations

from hexplan.errors import InputError
from hexplan.model import Model
from hexplan_runtime.request import Request


def require_possible(what: str, request: Request, model: Model) -> None:
    """Refuse a request that the model cannot run, whatever room there is.

    Raises
    ------
    InputError
        A token is not the model's, the request is longer than its context, or nothing may be drawn.
    """
    wrong = next((t for t in request.prompt_ids if not 0 <= t < model.vocab), None)
    if wrong is not None:
        message = f"{what}: prompt token {wrong}, must be >= 0 and < {model.vocab}"
        raise InputError(message)
    if request.min_tokens and request.stop_ids:
        _require_others(what, request.stop_ids, model.vocab)
    prompt, new = len(request.prompt_ids), request.max_tokens
    if prompt + new > model.max_context:
        message = (
            f"{what}: {prompt} prompt + {new} new = {prompt + new} tokens; "
            f"{model.name} was made for {model.max_context}"
        )
        raise InputError(message, hint="shorten the prompt, or ask for fewer tokens")


def _require_others(what: str, stop_ids: tuple[int, ...], vocab: int) -> None:
    """Refuse stop ids that leave nothing to draw before they may be drawn."""
    if len({token for token in stop_ids if 0 <= token < vocab}) == vocab:
        message = f"{what}: min_tokens bars every stop id, and all {vocab} tokens are stop ids"
        raise InputError(message, hint="leave out min_tokens, or some stop ids")
