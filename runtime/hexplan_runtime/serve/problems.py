"""Problems: what a client is told when its request cannot be answered, in OpenAI's form."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from starlette.responses import JSONResponse

from hexplan.errors import HexplanError, InputError, LaunchError
from hexplan_runtime.engine.outcomes import NoRoute, Overloaded

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"
JsonObject: TypeAlias = dict[str, Json]

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
RETRY_AFTER_S = 1
"""When a client that was refused because of load should try again."""
RESTART_S = 5
"""When one should that was refused because a stage starts again."""


class ApiError(Exception):
    """A request that is answered with an error.

    Parameters
    ----------
    param
        The field of the request that is wrong, if it is one.
    code
        A word for programs, such as `context_length_exceeded`.
    """

    status = 400
    kind = "invalid_request_error"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the answer."""
        return NO_HEADERS

    @property
    def body(self) -> JsonObject:
        """OpenAI's error object."""
        error: JsonObject = {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }
        return {"error": error}


class Unauthorized(ApiError):
    """The API key is missing or wrong."""

    status = 401
    kind = "authentication_error"

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the answer."""
        return {"www-authenticate": "Bearer"}


class Forbidden(ApiError):
    """The request comes from a page of another site."""

    status = 403
    kind = "permission_error"


class NotFound(ApiError):
    """There is no such path or model."""

    status = 404
    kind = "not_found_error"


class NotAllowed(ApiError):
    """The path exists, but not for this method."""

    status = 405


class TooSlow(ApiError):
    """The body did not arrive in time."""

    status = 408


class TooLarge(ApiError):
    """The body is larger than the server reads."""

    status = 413


class TooMany(ApiError):
    """Too many requests wait already."""

    status = 429
    kind = "rate_limit_error"

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the answer."""
        return {"retry-after": str(RETRY_AFTER_S)}


class Broken(ApiError):
    """The server failed."""

    status = 500
    kind = "server_error"


class Unavailable(ApiError):
    """The server is about to end, or a stage of the plan has failed."""

    status = 503
    kind = "server_error"


class NoRouteLeft(Unavailable):
    """Every route has a stage that starts again."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the answer."""
        return {"retry-after": str(RESTART_S)}


def problem_of(error: HexplanError) -> ApiError:
    """Return what a client is told about an error of the engine."""
    if isinstance(error, InputError):
        return _input_problem(error)
    if isinstance(error, Overloaded):
        return TooMany(error.message, code="overloaded")
    if isinstance(error, NoRoute):
        return NoRouteLeft(error.message, code="no_route")
    if isinstance(error, LaunchError):
        return Unavailable(error.message, code="engine_failed")
    return Broken(error.message)


def _input_problem(error: InputError) -> ApiError:
    message = error.message if error.hint is None else f"{error.message} ({error.hint})"
    is_length = "tokens" in error.message and " new = " in error.message
    return ApiError(message, code="context_length_exceeded" if is_length else None)


def respond(problem: ApiError) -> JSONResponse:
    """Return the answer that tells a client its problem."""
    return JSONResponse(problem.body, problem.status, dict(problem.headers))
