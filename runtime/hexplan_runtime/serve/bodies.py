"""Bodies: what clients send, as far as its form goes."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from hexplan_runtime.serve.problems import ApiError

Prompt = str | list[str] | list[int] | list[list[int]]

_NEEDED = {
    "prompt": "must be text, a list of texts, a list of token ids, or a list of such lists",
    "stop": "must be text or a list of texts",
    "guided_json": "must be a JSON schema, as an object or as text",
    "json": "must be a JSON schema, as an object or as text",
    "schema": "must be a JSON schema",
    "content": "must be text or a list of parts `{type: text, text: ...}`",
}
"""What fields of several forms need, as pydantic would list the error of each form."""


class Body(BaseModel):
    """A JSON object of a client."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class StreamOptions(Body):
    """What a stream carries besides text."""

    include_usage: bool = False
    continuous_usage_stats: bool = False


class JsonSchemaFormat(Body):
    """A JSON schema that the answer must follow, in OpenAI's form."""

    name: str | None = None
    description: str | None = None
    json_schema: dict[str, JsonValue] | bool | None = Field(default=None, alias="schema")
    strict: bool | None = None


class ResponseFormat(Body):
    """What the answer must be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None


class StructuredOutputs(Body):
    """What the answer must match, in vLLM's form: one of these."""

    json_schema: dict[str, JsonValue] | str | None = Field(default=None, alias="json")
    json_object: bool | None = None
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None


class Generating(Body):
    """What both kinds of generation take. Null means the default, as in OpenAI's API."""

    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    min_tokens: int | None = None
    seed: int | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool | None = None
    include_stop_str_in_output: bool | None = None
    skip_special_tokens: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    prompt_logprobs: int | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: dict[str, JsonValue] | str | None = None
    guided_regex: str | None = None
    guided_choice: list[str] | None = None
    guided_grammar: str | None = None

    # Known, and refused unless they change nothing: see `neutral.py`.
    spaces_between_special_tokens: JsonValue = None
    truncate_prompt_tokens: JsonValue = None
    priority: JsonValue = None

    # These never change the text that a server like this one returns.
    user: JsonValue = None
    metadata: JsonValue = None
    store: JsonValue = None
    service_tier: JsonValue = None
    safety_identifier: JsonValue = None
    prompt_cache_key: JsonValue = None


class CompletionBody(Generating):
    """The body of /v1/completions."""

    prompt: Prompt
    echo: bool | None = None
    logprobs: int | None = None
    add_special_tokens: bool | None = None
    best_of: JsonValue = None
    suffix: JsonValue = None


class Message(BaseModel):
    """One message of a chat; what else it carries is for the template."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    role: str
    content: str | list[dict[str, JsonValue]] | None = None


class ChatBody(Generating):
    """The body of /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[dict[str, JsonValue]] | None = None
    tool_choice: JsonValue = None
    chat_template_kwargs: dict[str, JsonValue] | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    parallel_tool_calls: JsonValue = None
    functions: JsonValue = None
    function_call: JsonValue = None
    modalities: JsonValue = None
    audio: JsonValue = None
    prediction: JsonValue = None
    reasoning_effort: JsonValue = None
    verbosity: JsonValue = None
    web_search_options: JsonValue = None


class TokenizeBody(Body):
    """The body of /tokenize: a text, or a chat."""

    model: str | None = None
    prompt: str | None = None
    messages: list[Message] | None = None
    add_special_tokens: bool | None = None
    add_generation_prompt: bool | None = None
    return_token_strs: bool | None = None


class DetokenizeBody(Body):
    """The body of /detokenize."""

    model: str | None = None
    tokens: list[int]


Read = TypeVar("Read", bound=Body)


def parse(kind: type[Read], data: bytes) -> Read:
    """Return the body that bytes of JSON stand for.

    Raises
    ------
    ApiError
        They are no JSON, or a field is missing, unknown or of the wrong form.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise _problem(error) from error


def _problem(error: ValidationError) -> ApiError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return ApiError(f"the body is no valid JSON: {first['msg']}", code="invalid_json")
    if not first["loc"]:
        return ApiError("the body must be a JSON object", code="invalid_json")
    names = [str(part) for part in first["loc"] if isinstance(part, int | str)]
    forms = next((index for index, name in enumerate(names) if name in _NEEDED), None)
    if forms is not None and first["type"] != "missing":
        param = ".".join(names[: forms + 1])
        return ApiError(f"{param}: {_NEEDED[names[forms]]}", param=param, code="invalid_type")
    param = ".".join(names)
    if first["type"] == "extra_forbidden":
        return ApiError(f"{param}: unknown parameter", param=param, code="unknown_parameter")
    if first["type"] == "missing":
        code = "missing_required_parameter"
        return ApiError(f"{param}: must be given", param=param, code=code)
    message = (
        str(first["msg"]).replace("Input should", "must").replace("must be a valid", "must be a")
    )
    return ApiError(f"{param}: {message}", param=param, code="invalid_value")
