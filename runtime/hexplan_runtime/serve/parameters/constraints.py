"""Constraints: what the answer must match, from the forms in which clients ask for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from pydantic import JsonValue

from hexplan_runtime.sampling.grammars import Grammars
from hexplan_runtime.serve.bodies import Generating, StructuredOutputs
from hexplan_runtime.serve.problems import ApiError

MOST_CHARACTERS: Final = 65_536
"""The longest schema, expression, list of choices or grammar."""
MOST_CONSTRAINTS: Final = 256
"""Constraints whose grammars are remembered."""
_MOST_REASON: Final = 300
_ANY_OBJECT: Final = '{"type":"object"}'
_WHITESPACE: Final = r"(\r?\n)?[ \t]{0,16}"
"""Between the parts of JSON: enough to indent. Without a limit, a model may write it for ever."""

Kind = Literal["json", "regex", "choice", "grammar"]


@dataclass(frozen=True, slots=True)
class Constraint:
    """What one field asks for."""

    field: str
    kind: Kind
    text: str
    """A JSON schema, a regular expression, a JSON list of texts, or a grammar."""


def constraint_of(body: Generating) -> Constraint | None:
    """Return what the answer must match, if anything.

    Raises
    ------
    ApiError
        Two fields ask for something, or one lacks a part.
    """
    found = list(_constraints(body))
    if len(found) > 1:
        message = f"{found[1].field}: cannot be combined with {found[0].field}, leave one out"
        raise ApiError(message, param=found[1].field, code="invalid_value")
    return found[0] if found else None


def _constraints(body: Generating) -> Iterator[Constraint]:
    yield from _of_format(body)
    asked = body.structured_outputs or StructuredOutputs()
    fields: tuple[tuple[str, Kind, JsonValue], ...] = (
        ("guided_json", "json", body.guided_json),
        ("guided_regex", "regex", body.guided_regex),
        ("guided_choice", "choice", _plain(body.guided_choice)),
        ("guided_grammar", "grammar", body.guided_grammar),
        ("structured_outputs.json", "json", asked.json_schema),
        ("structured_outputs.json_object", "json", _ANY_OBJECT if asked.json_object else None),
        ("structured_outputs.regex", "regex", asked.regex),
        ("structured_outputs.choice", "choice", _plain(asked.choice)),
        ("structured_outputs.grammar", "grammar", asked.grammar),
    )
    for field, kind, value in fields:
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value)
            yield Constraint(field, kind, text)


def _plain(choices: list[str] | None) -> str | None:
    return None if choices is None else json.dumps(choices)


def _of_format(body: Generating) -> Iterator[Constraint]:
    wanted = body.response_format
    if wanted is None or wanted.type == "text":
        return
    if wanted.type == "json_object":
        yield Constraint("response_format", "json", _ANY_OBJECT)
        return
    field = "response_format.json_schema.schema"
    if wanted.json_schema is None or wanted.json_schema.json_schema is None:
        message = f"{field}: missing"
        raise ApiError(message, param=field, code="missing")
    yield Constraint(field, "json", json.dumps(wanted.json_schema.json_schema))


class Constraints:
    """Turns constraints into grammars, and refuses what no text of the model could match.

    Parameters
    ----------
    stop_ids
        The tokens that end every text of the model.
    """

    def __init__(self, grammars: Grammars, stop_ids: tuple[int, ...]) -> None:
        self._grammars = grammars
        self._stop_ids = stop_ids
        self._found = lru_cache(maxsize=MOST_CONSTRAINTS)(self._find)

    async def grammar_of(self, body: Generating) -> str:
        """Return the grammar that the answer must match; empty if it is free.

        Raises
        ------
        ApiError
            The constraint is wrong, too large, or not supported, or the text could not end.
        """
        constraint = constraint_of(body)
        if constraint is None:
            return ""
        if body.ignore_eos or not self._stop_ids:
            why = "ignore_eos" if body.ignore_eos else "a model that has no token for the end"
            raise _refusal(constraint, f"cannot be combined with {why}")
        return await asyncio.to_thread(self._found, constraint)

    def _find(self, constraint: Constraint) -> str:
        size = len(constraint.text)
        if size > MOST_CHARACTERS:
            raise _refusal(constraint, f"{size:,} characters, at most {MOST_CHARACTERS:,}")
        try:
            grammar = _grammar(constraint)
        except (ValueError, RecursionError) as error:
            raise _refusal(constraint, str(error)) from error
        self._check(constraint, grammar)
        return grammar

    def _check(self, constraint: Constraint, grammar: str) -> None:
        from llguidance import LLMatcher

        vocabulary = self._grammars.vocabulary
        is_wrong, said = LLMatcher.validate_grammar_with_warnings(grammar, vocabulary)
        if is_wrong or said:  # what is only warned of would not be followed
            raise _refusal(constraint, "; ".join(said))
        matcher = self._grammars.matcher(grammar)
        mask = int.from_bytes(matcher.compute_bitmask(), "little")
        for stop in self._stop_ids:
            mask &= ~(1 << stop)
        if not mask and not matcher.is_accepting():
            raise _refusal(constraint, "no token of the model can begin a text that matches")


def _grammar(constraint: Constraint) -> str:
    from llguidance import LLMatcher, grammar_from

    if constraint.kind == "json":
        schema = json.loads(constraint.text)
        if not isinstance(schema, dict | bool):
            raise ValueError("a JSON schema must be an object")
        own: object = {"whitespace_pattern": _WHITESPACE}
        if isinstance(schema, dict) and "x-guidance" in schema:
            raise ValueError("x-guidance is not supported")
        return LLMatcher.grammar_from_json_schema(constraint.text, overrides=own)  # type: ignore[arg-type]
    if constraint.kind == "regex":
        return LLMatcher.grammar_from_regex(constraint.text)
    if constraint.kind == "choice" and not json.loads(constraint.text):
        raise ValueError("empty, must have at least one")
    return grammar_from(constraint.kind, constraint.text)


def _refusal(constraint: Constraint, reason: str) -> ApiError:
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    short = " ".join(lines)[:_MOST_REASON]
    return ApiError(f"{constraint.field}: {short}", param=constraint.field, code="invalid_value")
