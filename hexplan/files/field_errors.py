"""Say in plain words what pydantic found wrong with a file, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from hexplan.errors import SpecError
from hexplan.wording import KeyPath, close_names, did_you_mean, found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic_core import ErrorDetails

UNKNOWN_FIELD = "unknown field"

FORMS = frozenset(("<value>", "<list>", "<mapping>", "<named>", "<folder>", "<numbers>", "[key]"))
"""Parts of pydantic's locations that name a form of a union, not a field."""

_MOST_SHOWN = 10
"""Lines of one message."""
_NEEDED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "decimal_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "greater_than": "> {gt}",
    "greater_than_equal": ">= {ge}",
    "less_than": "< {lt}",
    "less_than_equal": "<= {le}",
    "literal_error": "{expected}",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
}


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with a file."""

    path: KeyPath
    """The field, from the top."""
    problem: str
    """What was found, and what is needed."""
    hint: str | None = None
    """What to do about it."""


def explain(error: ValidationError, root: type[BaseModel]) -> tuple[FieldError, ...]:
    """Return the errors of a validation against the model `root`, in pydantic's order."""
    details = error.errors(include_url=False)
    misspelt = _misspelt(details)
    return tuple(
        _explain_one(detail, root)
        for detail in details
        if not _is_echo(detail) and not (detail["type"] == "missing" and detail["loc"] in misspelt)
    )


def _misspelt(details: list[ErrorDetails]) -> set[KeyPath]:
    """Return the missing fields that an unknown field beside them probably stands for."""
    missing = [detail["loc"] for detail in details if detail["type"] == "missing"]
    unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    return {
        (*path[:-1], close)
        for path in unknown
        for close in close_names(
            str(path[-1]), [str(other[-1]) for other in missing if other[:-1] == path[:-1]], most=1
        )
    }


def _is_echo(detail: ErrorDetails) -> bool:
    """Say whether a list counts as too short only because some of its entries are wrong."""
    return (
        detail["type"] == "too_short"
        and isinstance(detail["input"], list)
        and len(detail["input"]) >= detail["ctx"]["min_length"]
    )


def one_error(problems: Iterable[FieldError], where: Callable[[KeyPath], str]) -> SpecError:
    """Return one error that lists all problems, with the hint for the first."""
    first, *others = problems
    more = [f"{where(other.path)}: {other.problem}" for other in others]
    if len(more) >= _MOST_SHOWN:
        more[_MOST_SHOWN - 1 :] = [f"and {len(more) - _MOST_SHOWN + 1} more"]
    return SpecError(where(first.path), "\n".join((first.problem, *more)), hint=first.hint)


def version_problem(version: object, known: int) -> FieldError | None:
    """Return the problem with the `version` of a file, or None; it decides how to read the rest."""
    if version == known and not isinstance(version, bool):
        return None
    if isinstance(version, int) and version > known:
        problem = f"found {version}, needed {known}, the newest that this hexplan reads"
        return FieldError(("version",), problem, "upgrade hexplan: `pip install -U hexplan`")
    return FieldError(
        ("version",), f"found {found(version)}, needed {known}", f"this format is version {known}"
    )


def _explain_one(detail: ErrorDetails, root: type[BaseModel]) -> FieldError:
    path = tuple(part for part in detail["loc"] if part not in FORMS)
    if detail["type"] == "extra_forbidden":
        return FieldError(path, UNKNOWN_FIELD, _unknown_hint(detail, _fields(root, path)))
    if detail["type"] == "missing":
        description = _fields(root, path).get(str(path[-1]))
        hint = f"`{path[-1]}`: {description}" if description else None
        return FieldError(path[:-1], f"the field `{path[-1]}` is missing", hint)
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, ValueError):
        return FieldError(path, str(cause), getattr(cause, "hint", None))
    needed = _NEEDED.get(detail["type"])
    if needed is None:
        return FieldError(path, detail["msg"])
    context: Mapping[str, Any] = detail.get("ctx", {})
    problem = f"found {found(detail['input'])}, needed {needed.format(**context)}"
    return FieldError(path, problem, _hint(detail))


def _unknown_hint(detail: ErrorDetails, fields: Iterable[str]) -> str | None:
    """Return what was probably meant by an unknown field."""
    name = str(detail["loc"][-1])
    if detail["input"] is None and not close_names(name, fields):
        # Inside braces, YAML takes the text after a comma for the name of the next field.
        return f"if `{name}` belongs to the value before it, write a list: `[..., {name}]`"
    return did_you_mean(name, fields)


def _hint(detail: ErrorDetails) -> str | None:
    if detail["type"] == "string_type" and isinstance(detail["input"], int | float):
        return f'put it in quotes: "{detail["input"]}"'
    if detail["input"] is None:
        return "give it a value, or remove the line"
    return None


def _fields(root: type[BaseModel], path: KeyPath) -> dict[str, str | None]:
    """Return the fields beside the last one of a path, with their descriptions."""
    models: list[type[BaseModel]] = [root]
    for part in path[:-1]:
        types = [
            field.annotation
            for model in models
            for name, field in model.model_fields.items()
            if part == (field.alias or name)
        ]
        models = [model for kind in types for model in _models(kind)] if types else models
    return {
        field.alias or name: field.description
        for model in models
        for name, field in model.model_fields.items()
    }


def _models(annotation: object) -> list[type[BaseModel]]:
    """Return the models that an annotation names, however deep in unions and containers."""
    if isinstance(annotation, type) and not get_origin(annotation):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for argument in get_args(annotation) for model in _models(argument)]
