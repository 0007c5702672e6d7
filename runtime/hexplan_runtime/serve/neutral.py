"""Parameters that this server knows but cannot follow yet: only values that change nothing pass."""

from __future__ import annotations

from pydantic import JsonValue

from hexplan_runtime.serve.bodies import Body
from hexplan_runtime.serve.problems import ApiError

_NEUTRAL: dict[str, tuple[JsonValue, ...]] = {
    "spaces_between_special_tokens": (True,),
    "truncate_prompt_tokens": (),
    "priority": (0,),
    "best_of": (1,),
    "suffix": ("",),
    "tool_choice": ("auto", "none"),
    "parallel_tool_calls": (True,),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    "web_search_options": (),
}
"""For each parameter, the values besides null that change nothing."""


def require_neutral(body: Body) -> None:
    """Refuse a parameter that would change the answer, because ignoring it would be worse.

    Raises
    ------
    ApiError
        A parameter that is not supported has a value that asks for something.
    """
    for name in type(body).model_fields:
        if name in _NEUTRAL:
            value = getattr(body, name)
            if value is not None and not any(_same(value, one) for one in _NEUTRAL[name]):
                message = f"{name}: not supported yet, leave it out{_or_give(name)}"
                raise ApiError(message, param=name, code="unsupported_parameter")


def _same(value: JsonValue, other: JsonValue) -> bool:
    """Compare values of JSON, in which true is not 1."""
    return isinstance(value, bool) == isinstance(other, bool) and value == other


def _or_give(name: str) -> str:
    values = _NEUTRAL[name]
    return f" or give {values[0]!r}" if values else ""
